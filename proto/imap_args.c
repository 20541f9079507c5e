#include "proto/imap_args.h"

#include "proto/record.h"

static int get_mailbox(const struct imap_arg *arg, struct arena *a,
		       struct slice *out, struct err *e)
{
	struct slice raw;

	if (imap_arg_astring(arg, &raw) < 0)
		return imap_bad(e, "Mailbox name expected");
	if (imap_arg_mailbox(arg, a, out) < 0)
		return imap_bad(e, "Mailbox name is not valid UTF-7");
	return 0;
}

/* --- STATUS --- */

static const struct {
	const char *name;
	uint32_t item;
} status_items[] = {
	{"MESSAGES", IMAP_STATUS_MESSAGES},
	{"RECENT", IMAP_STATUS_RECENT},
	{"UIDNEXT", IMAP_STATUS_UIDNEXT},
	{"UIDVALIDITY", IMAP_STATUS_UIDVALIDITY},
	{"UNSEEN", IMAP_STATUS_UNSEEN},
	{"SIZE", IMAP_STATUS_SIZE},
	{"HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ},
	{"MAILBOXID", IMAP_STATUS_MAILBOXID},
};

static int parse_status_items(const struct imap_arg *list, uint32_t *out,
			      struct err *e)
{
	const struct imap_arg *arg;
	uint32_t items = 0;
	size_t i;

	if (!list || list->type != IMAP_ARG_LIST || !list->child)
		return imap_bad(e, "List of STATUS items expected");
	for (arg = list->child; arg; arg = arg->next) {
		for (i = 0; i < ARRAY_LEN(status_items); i++)
			if (imap_arg_is(arg, status_items[i].name))
				break;
		if (i == ARRAY_LEN(status_items))
			return imap_bad(e, "Unknown STATUS item");
		items |= status_items[i].item;
	}
	*out = items;
	return 0;
}

int imap_status_parse(const struct imap_command *cmd, struct arena *a,
		      struct imap_status *out, struct err *e)
{
	struct imap_status s;
	int rc;

	rc = get_mailbox(cmd->args, a, &s.mailbox, e);
	if (rc == 0)
		rc = parse_status_items(cmd->args->next, &s.items, e);
	if (rc == 0 && cmd->args->next->next)
		rc = imap_bad(e, "Too many arguments");
	if (rc == 0)
		*out = s;
	return rc;
}

/* --- LIST --- */

static const struct {
	const char *name;
	uint32_t option;
	bool select, ret;
} list_options[] = {
	{"SUBSCRIBED", IMAP_LIST_SUBSCRIBED, true, true},
	{"SPECIAL-USE", IMAP_LIST_SPECIAL_USE, true, true},
	{"CHILDREN", IMAP_LIST_CHILDREN, false, true},
	{"STATUS", IMAP_LIST_STATUS, false, true},
	{"RECURSIVEMATCH", IMAP_LIST_RECURSIVEMATCH, true, false},
	{"REMOTE", IMAP_LIST_REMOTE, true, false},
};

static uint32_t list_option(const struct imap_arg *arg, bool ret)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(list_options); i++)
		if ((ret ? list_options[i].ret : list_options[i].select) &&
		    imap_arg_is(arg, list_options[i].name))
			return list_options[i].option;
	return 0;
}

static int parse_list_select(const struct imap_arg *list,
			     struct imap_list *out, struct err *e)
{
	const struct imap_arg *arg;
	uint32_t option;

	for (arg = list->child; arg; arg = arg->next) {
		option = list_option(arg, false);
		if (!option)
			return imap_bad(e, "Unknown LIST selection option");
		out->select |= option;
	}
	/* RFC 5258 3: RECURSIVEMATCH alone selects nothing. */
	if ((out->select & IMAP_LIST_RECURSIVEMATCH) &&
	    !(out->select & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE)))
		return imap_bad(e, "RECURSIVEMATCH needs another option");
	return 0;
}

static int parse_list_return(const struct imap_arg *word,
			     struct imap_list *out, struct err *e)
{
	const struct imap_arg *arg, *list = word->next;
	uint32_t option;
	int rc;

	if (!imap_arg_is(word, "RETURN") || !list ||
	    list->type != IMAP_ARG_LIST || list->next)
		return imap_bad(e, "RETURN (…) expected");
	for (arg = list->child; arg; arg = arg->next) {
		option = list_option(arg, true);
		if (!option)
			return imap_bad(e, "Unknown LIST return option");
		out->ret |= option;
		if (option != IMAP_LIST_STATUS)
			continue;
		arg = arg->next;
		rc = parse_status_items(arg, &out->status_items, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* A pattern or a reference.  LIST of what is not valid UTF-7 is no syntax
 * error: it is compared as it is. */
static int get_pattern(const struct imap_arg *arg, struct arena *a,
		       struct slice *out, struct err *e)
{
	struct slice raw;

	if (imap_arg_astring(arg, &raw) < 0)
		return imap_bad(e, "Mailbox pattern expected");
	if (raw.n > MBOX_NAME_MAX)
		return imap_bad(e, "Mailbox pattern is too long");
	if (imap_arg_mailbox(arg, a, out) < 0)
		*out = raw;
	return 0;
}

static int parse_patterns(const struct imap_arg *arg, struct arena *a,
			  struct imap_list *out, struct err *e)
{
	const struct imap_arg *p = arg;
	size_t n = 1;
	int rc;

	if (arg && arg->type == IMAP_ARG_LIST) {
		p = arg->child;
		n = imap_arg_count(p);
		out->extended = true;
		if (n == 0 || n > IMAP_LIST_PATTERNS_MAX)
			return imap_bad(e, n ? "Too many patterns"
					     : "Empty pattern list");
	}
	out->patterns = arena_alloc(a, n * sizeof(*out->patterns));
	for (; out->n_patterns < n; p = p->next) {
		rc = get_pattern(p, a, &out->patterns[out->n_patterns], e);
		if (rc < 0)
			return rc;
		out->n_patterns++;
	}
	return 0;
}

int imap_list_parse(const struct imap_command *cmd, struct arena *a,
		    struct imap_list *out, struct err *e)
{
	struct imap_list l = {.select = 0};
	const struct imap_arg *arg = cmd->args;
	int rc;

	if (arg && arg->type == IMAP_ARG_LIST) {
		l.extended = true;
		rc = parse_list_select(arg, &l, e);
		if (rc < 0)
			return rc;
		arg = arg->next;
	}
	rc = get_pattern(arg, a, &l.reference, e);
	if (rc == 0)
		rc = parse_patterns(arg->next, a, &l, e);
	if (rc == 0 && arg->next->next) {
		l.extended = true;
		rc = parse_list_return(arg->next->next, &l, e);
	}
	if (rc < 0)
		return rc;
	if (l.extended && !strcmp(cmd->name, "LSUB"))
		return imap_bad(e, "LSUB has no options");
	*out = l;
	return 0;
}

/* --- SELECT --- */

static int parse_match(const struct imap_arg *list, struct arena *a,
		       struct imap_select *s, struct err *e)
{
	const struct imap_arg *seqs = list->child;

	if (!seqs || !seqs->next || seqs->next->next)
		return imap_bad(e, "Bad QRESYNC match data");
	if (imap_arg_set(seqs, a, &s->match_seqs, e) < 0 ||
	    imap_arg_set(seqs->next, a, &s->match_uids, e) < 0)
		return E_INVALID;
	s->has_match = true;
	return 0;
}

/* (uidvalidity modseq [uids] [(seqs uids)]) */
static int parse_qresync(const struct imap_arg *list, struct arena *a,
			 struct imap_select *s, struct err *e)
{
	const struct imap_arg *arg;

	if (!list || list->type != IMAP_ARG_LIST || !list->child)
		return imap_bad(e, "Bad QRESYNC parameters");
	arg = list->child;
	if (imap_arg_number(arg, &s->uidvalidity) < 0 || !s->uidvalidity ||
	    imap_arg_number64(arg->next, &s->modseq) < 0 || !s->modseq ||
	    s->modseq > INT64_MAX)
		return imap_bad(e, "Bad QRESYNC parameters");
	arg = arg->next->next;
	if (arg && arg->type == IMAP_ARG_ATOM) {
		if (imap_arg_set(arg, a, &s->known_uids, e) < 0)
			return E_INVALID;
		s->has_known_uids = true;
		arg = arg->next;
	}
	if (arg && arg->type == IMAP_ARG_LIST) {
		if (parse_match(arg, a, s, e) < 0)
			return E_INVALID;
		arg = arg->next;
	}
	if (arg)
		return imap_bad(e, "Bad QRESYNC parameters");
	s->qresync = s->condstore = true;
	return 0;
}

int imap_select_parse(const struct imap_command *cmd, struct arena *a,
		      struct imap_select *out, struct err *e)
{
	struct imap_select s = {.condstore = false};
	const struct imap_arg *list, *arg;
	int rc;

	rc = get_mailbox(cmd->args, a, &s.mailbox, e);
	if (rc < 0)
		return rc;
	list = cmd->args->next;
	if (list && (list->type != IMAP_ARG_LIST || !list->child ||
		     list->next))
		return imap_bad(e, "Bad SELECT parameters");
	for (arg = list ? list->child : NULL; arg; arg = arg->next) {
		if (imap_arg_is(arg, "CONDSTORE")) {
			s.condstore = true;
		} else if (imap_arg_is(arg, "QRESYNC") && !s.qresync) {
			arg = arg->next;
			rc = parse_qresync(arg, a, &s, e);
			if (rc < 0)
				return rc;
		} else {
			return imap_bad(e, "Unknown SELECT parameter");
		}
	}
	*out = s;
	return 0;
}

/* --- APPEND --- */

int imap_append_mailbox(const struct imap_command *cmd, struct arena *a,
			struct slice *mailbox, struct err *e)
{
	return get_mailbox(cmd->args, a, mailbox, e);
}

/* The first argument behind the last message that is followed by more than
 * itself: where the arguments of the last message begin. */
static const struct imap_arg *last_message(const struct imap_arg *first)
{
	const struct imap_arg *arg, *from = first;

	for (arg = first; arg; arg = arg->next)
		if (arg->type == IMAP_ARG_STREAM && arg->next)
			from = arg->next;
	return from;
}

int imap_append_last(const struct imap_command *cmd, struct arena *a,
		     struct imap_append_msg *out, struct err *e)
{
	struct imap_append_msg m = {.has_date = false};
	const struct imap_arg *arg;
	int rc;

	arg = cmd->args ? last_message(cmd->args->next) : NULL;
	if (arg && arg->type == IMAP_ARG_LIST) {
		rc = imap_flags_parse(arg, false, a, &m.flags, e);
		if (rc < 0)
			return rc;
		arg = arg->next;
	}
	if (arg && arg->type == IMAP_ARG_QUOTED) {
		if (date_parse_imap(arg->text, &m.date) < 0)
			return imap_bad(e, "Bad date-time");
		m.has_date = true;
		arg = arg->next;
	}
	if (!arg || arg->type != IMAP_ARG_STREAM)
		return imap_bad(e, "Message literal expected");
	m.size = arg->size;
	*out = m;
	return 0;
}

int imap_append_end(const struct imap_command *cmd, struct err *e)
{
	const struct imap_arg *arg = cmd->args ? cmd->args->next : NULL;

	while (arg && arg->next)
		arg = arg->next;
	if (!arg || arg->type != IMAP_ARG_STREAM)
		return imap_bad(e, "Message literal expected");
	return 0;
}

/* --- ENABLE, ID --- */

int imap_enable_parse(const struct imap_command *cmd, uint32_t *out,
		      struct err *e)
{
	const struct imap_arg *arg;
	uint32_t bits = 0;

	if (!cmd->args)
		return imap_bad(e, "Capability names expected");
	for (arg = cmd->args; arg; arg = arg->next) {
		if (arg->type != IMAP_ARG_ATOM)
			return imap_bad(e, "Bad capability name");
		if (imap_arg_is(arg, "CONDSTORE"))
			bits |= IMAP_ENABLE_CONDSTORE;
		else if (imap_arg_is(arg, "QRESYNC"))
			bits |= IMAP_ENABLE_QRESYNC;
	}
	*out = bits;
	return 0;
}

int imap_id_parse(const struct imap_command *cmd, struct imap_id *out,
		  struct err *e)
{
	const struct imap_arg *arg = cmd->args;
	size_t n = 0;

	if (!arg || arg->next)
		return imap_bad(e, "One list of parameters expected");
	if (imap_arg_is(arg, "NIL")) {
		out->n = 0;
		return 0;
	}
	if (arg->type != IMAP_ARG_LIST)
		return imap_bad(e, "One list of parameters expected");
	for (arg = arg->child; arg; arg = arg->next, n++) {
		if (n == IMAP_ID_PAIRS_MAX)
			return imap_bad(e, "Too many ID parameters");
		if (imap_arg_nstring(arg, &out->key[n]) < 0 ||
		    !out->key[n].p || out->key[n].n > 30)
			return imap_bad(e, "Bad ID parameter name");
		arg = arg->next;
		if (imap_arg_nstring(arg, &out->value[n]) < 0 ||
		    out->value[n].n > 1024)
			return imap_bad(e, "Bad ID parameter value");
	}
	out->n = n;
	return 0;
}

/* --- CREATE --- */

static const struct {
	const char *name;
	uint32_t use;
} special_uses[] = {
	{"\\All", SPECIALUSE_ALL},
	{"\\Archive", SPECIALUSE_ARCHIVE},
	{"\\Drafts", SPECIALUSE_DRAFTS},
	{"\\Flagged", SPECIALUSE_FLAGGED},
	{"\\Important", SPECIALUSE_IMPORTANT},
	{"\\Junk", SPECIALUSE_JUNK},
	{"\\Sent", SPECIALUSE_SENT},
	{"\\Trash", SPECIALUSE_TRASH},
};

uint32_t imap_special_use(struct slice text)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(special_uses); i++)
		if (slice_is_ci(text, special_uses[i].name))
			return special_uses[i].use;
	return 0;
}

static int parse_use(const struct imap_arg *list, uint32_t *out,
		     struct err *e)
{
	const struct imap_arg *arg;
	uint32_t use;

	if (list->type != IMAP_ARG_LIST || list->next ||
	    !imap_arg_is(list->child, "USE") || !list->child->next ||
	    list->child->next->type != IMAP_ARG_LIST ||
	    list->child->next->next)
		return imap_bad(e, "Bad CREATE parameters");
	for (arg = list->child->next->child; arg; arg = arg->next) {
		use = arg->type == IMAP_ARG_ATOM ? imap_special_use(arg->text)
						 : 0;
		if (!use)
			return imap_bad(e, "Unknown special use");
		*out |= use;
	}
	return 0;
}

int imap_create_parse(const struct imap_command *cmd, struct arena *a,
		      char separator, struct imap_create *out, struct err *e)
{
	struct imap_create c = {.special_use = 0};
	int rc;

	rc = get_mailbox(cmd->args, a, &c.mailbox, e);
	if (rc == 0 && cmd->args->next)
		rc = parse_use(cmd->args->next, &c.special_use, e);
	if (rc < 0)
		return rc;
	if (c.mailbox.n > 1 && c.mailbox.p[c.mailbox.n - 1] == separator) {
		c.trailing_separator = true;
		c.mailbox.n--;
		if (slice_is_ci(c.mailbox, "INBOX"))
			c.mailbox = SLICE_LIT("INBOX");
	}
	*out = c;
	return 0;
}

/* --- simple shapes --- */

static int check_count(const struct imap_command *cmd, size_t n,
		       struct err *e)
{
	size_t have = imap_arg_count(cmd->args);

	if (have < n)
		return imap_bad(e, "Missing argument");
	if (have > n)
		return imap_bad(e, "Too many arguments");
	return 0;
}

int imap_one_mailbox(const struct imap_command *cmd, struct arena *a,
		     struct slice *mailbox, struct err *e)
{
	int rc = check_count(cmd, 1, e);

	return rc < 0 ? rc : get_mailbox(cmd->args, a, mailbox, e);
}

int imap_two_mailboxes(const struct imap_command *cmd, struct arena *a,
		       struct slice *from, struct slice *to, struct err *e)
{
	int rc = check_count(cmd, 2, e);

	if (rc == 0)
		rc = get_mailbox(cmd->args, a, from, e);
	return rc < 0 ? rc : get_mailbox(cmd->args->next, a, to, e);
}

int imap_set_and_mailbox(const struct imap_command *cmd, struct arena *a,
			 struct imap_set *set, struct slice *mailbox,
			 struct err *e)
{
	int rc = check_count(cmd, 2, e);

	if (rc == 0)
		rc = imap_arg_set(cmd->args, a, set, e);
	return rc < 0 ? rc : get_mailbox(cmd->args->next, a, mailbox, e);
}

int imap_one_set(const struct imap_command *cmd, struct arena *a,
		 struct imap_set *set, struct err *e)
{
	int rc = check_count(cmd, 1, e);

	return rc < 0 ? rc : imap_arg_set(cmd->args, a, set, e);
}

int imap_no_args(const struct imap_command *cmd, struct err *e)
{
	return check_count(cmd, 0, e);
}

int imap_login_parse(const struct imap_command *cmd, struct slice *user,
		     struct slice *password, struct err *e)
{
	int rc = check_count(cmd, 2, e);

	if (rc < 0)
		return rc;
	if (imap_arg_astring(cmd->args, user) < 0 ||
	    imap_arg_astring(cmd->args->next, password) < 0)
		return imap_bad(e, "User and password expected");
	return 0;
}

int imap_authenticate_parse(const struct imap_command *cmd,
			    struct imap_authenticate *out, struct err *e)
{
	const struct imap_arg *arg = cmd->args;

	if (!arg || arg->type != IMAP_ARG_ATOM)
		return imap_bad(e, "Mechanism expected");
	*out = (struct imap_authenticate){.mechanism = arg->text};
	arg = arg->next;
	if (!arg)
		return 0;
	if (arg->type != IMAP_ARG_ATOM || arg->next)
		return imap_bad(e, "Bad initial response");
	out->has_initial = true;
	if (!slice_is(arg->text, "="))
		out->initial = arg->text;
	return 0;
}
