#include "node/imap/imap.h"

/* RFC 3501 6.1-6.4 and the extensions' own; one row a command. */
const struct imap_cmd imap_commands[] = {
	{"APPEND", 0, cmd_append},
	{"CAPABILITY", CMD_KEEP_SEQS, cmd_capability},
	{"CHECK", CMD_SELECTED, cmd_check},
	{"CLOSE", CMD_SELECTED | CMD_KEEP_SEQS, cmd_close},
	{"COPY", CMD_SELECTED | CMD_UID, cmd_copy},
	{"CREATE", 0, cmd_create},
	{"DELETE", 0, cmd_delete},
	{"ENABLE", 0, cmd_enable},
	{"EXAMINE", 0, cmd_examine},
	{"EXPUNGE", CMD_SELECTED | CMD_WRITES | CMD_UID, cmd_expunge},
	{"FETCH", CMD_SELECTED | CMD_KEEP_SEQS | CMD_UID, cmd_fetch},
	{"ID", 0, cmd_id},
	{"IDLE", 0, cmd_idle},
	{"LIST", 0, cmd_list},
	{"LOGOUT", CMD_KEEP_SEQS, cmd_logout},
	{"LSUB", 0, cmd_lsub},
	{"MOVE", CMD_SELECTED | CMD_WRITES | CMD_UID, cmd_move},
	{"NAMESPACE", 0, cmd_namespace},
	{"NOOP", 0, cmd_noop},
	{"RENAME", 0, cmd_rename},
	{"SEARCH", CMD_SELECTED | CMD_KEEP_SEQS | CMD_UID, cmd_search},
	{"SELECT", 0, cmd_select},
	{"STATUS", 0, cmd_status},
	{"STORE", CMD_SELECTED | CMD_WRITES | CMD_KEEP_SEQS | CMD_UID, cmd_store},
	{"SUBSCRIBE", 0, cmd_subscribe},
	{"UNSELECT", CMD_SELECTED | CMD_KEEP_SEQS, cmd_unselect},
	{"UNSUBSCRIBE", 0, cmd_unsubscribe},
	{NULL, 0, NULL},
};

const struct imap_cmd *imap_command_find(const char *name)
{
	for (const struct imap_cmd *c = imap_commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}
