#include "node/pop3/pop3.h"

#include <stdlib.h>

/* STAT, LIST, UIDL, DELE, RSET, NOOP, CAPA (RFC 1939 5 and 7, RFC 2449). */

/* The message of a command's number, from 0; false after -ERR. */
static bool message(struct pop3 *p, uint32_t number, uint32_t *i)
{
	if (number == 0 || number > p->n_msgs) {
		pop3_say(p, "-ERR There's no message %u.", number);
		return false;
	}
	*i = number - 1;
	if (p->msgs[*i].flags & POP3_DELETED) {
		pop3_say(p, "-ERR Message is deleted.");
		return false;
	}
	return true;
}

static void put_uidl(struct pop3 *p, uint32_t i)
{
	pop3_put_uidl(pop3_out(p), p->s->conf->pop3_uidl_format,
		      p->msgs[i].uid, mailbox_uidvalidity(p->inbox),
		      p->guids ? &p->guids[i] : NULL);
	buf_str(pop3_out(p), "\r\n");
}

static void list_line(struct pop3 *p, uint32_t i, bool uidl)
{
	struct buf *out = pop3_out(p);

	buf_printf(out, "%u ", i + 1);
	if (uidl)
		put_uidl(p, i);
	else
		buf_printf(out, "%llu\r\n",
			   (unsigned long long)p->msgs[i].size);
}

static void list_some(struct pop3 *p, bool uidl)
{
	for (uint32_t k = 0; k < POP3_STEP_LINES && p->at < p->n_msgs; k++) {
		uint32_t i = p->at++;

		if (!(p->msgs[i].flags & POP3_DELETED))
			list_line(p, i, uidl);
	}
	if (p->at < p->n_msgs)
		return;
	pop3_say(p, ".");
	pop3_step_over(p);
}

static void list_step(struct pop3 *p)
{
	list_some(p, false);
}

static void uidl_step(struct pop3 *p)
{
	list_some(p, true);
}

static void totals(const struct pop3 *p, uint32_t *count, uint64_t *size)
{
	*count = 0;
	*size = 0;
	for (uint32_t i = 0; i < p->n_msgs; i++) {
		if (p->msgs[i].flags & POP3_DELETED)
			continue;
		++*count;
		*size += p->msgs[i].size;
	}
}

static void list(struct pop3 *p, struct slice args, bool uidl)
{
	uint32_t number, count, i;
	uint64_t size;
	int n = pop3_numbers(args, 0, 1, &number);

	if (n < 0) {
		pop3_bad(p, "Invalid message number.");
	} else if (n == 1) {
		if (!message(p, number, &i))
			return;
		buf_str(pop3_out(p), "+OK ");
		list_line(p, i, uidl);
	} else {
		totals(p, &count, &size);
		if (uidl)
			pop3_say(p, "+OK");
		else
			pop3_say(p, "+OK %u messages:", count);
		p->at = 0;
		p->step = uidl ? uidl_step : list_step;
	}
}

static void cmd_list(struct pop3 *p, struct slice args)
{
	list(p, args, false);
}

static void cmd_uidl(struct pop3 *p, struct slice args)
{
	list(p, args, true);
}

static void cmd_stat(struct pop3 *p, struct slice args)
{
	uint32_t count;
	uint64_t size;

	(void)args;
	totals(p, &count, &size);
	pop3_say(p, "+OK %u %llu", count, (unsigned long long)size);
}

static void cmd_retr(struct pop3 *p, struct slice args)
{
	uint32_t number, i;

	if (pop3_numbers(args, 1, 1, &number) < 0)
		pop3_bad(p, "Invalid message number.");
	else if (message(p, number, &i))
		pop3_retr(p, i, false, 0);
}

static void cmd_top(struct pop3 *p, struct slice args)
{
	uint32_t n[2], i;

	if (pop3_numbers(args, 2, 2, n) < 0)
		pop3_bad(p, "Invalid message number or line count.");
	else if (message(p, n[0], &i))
		pop3_retr(p, i, true, n[1]);
}

static void cmd_dele(struct pop3 *p, struct slice args)
{
	uint32_t number, i;

	if (pop3_numbers(args, 1, 1, &number) < 0) {
		pop3_bad(p, "Invalid message number.");
		return;
	}
	if (!message(p, number, &i))
		return;
	p->msgs[i].flags |= POP3_DELETED;
	pop3_say(p, "+OK Marked to be deleted.");
}

static void cmd_rset(struct pop3 *p, struct slice args)
{
	(void)args;
	/* As 2.3: the marks of RETR go too, \Seen is not set then. */
	for (uint32_t i = 0; i < p->n_msgs; i++)
		p->msgs[i].flags = 0;
	pop3_say(p, "+OK");
}

static void cmd_noop(struct pop3 *p, struct slice args)
{
	(void)args;
	pop3_say(p, "+OK");
}

static void cmd_capa(struct pop3 *p, struct slice args)
{
	(void)args;
	pop3_say(p, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING"
		    "\r\nAUTH-RESP-CODE\r\nIMPLEMENTATION Duet\r\n.");
}

static void cmd_quit(struct pop3 *p, struct slice args)
{
	(void)args;
	pop3_quit(p);
}

static const struct {
	const char *name;
	void (*run)(struct pop3 *p, struct slice args);
} commands[] = {
	{"CAPA", cmd_capa}, {"DELE", cmd_dele}, {"LIST", cmd_list},
	{"NOOP", cmd_noop}, {"QUIT", cmd_quit}, {"RETR", cmd_retr},
	{"RSET", cmd_rset}, {"STAT", cmd_stat}, {"TOP", cmd_top},
	{"UIDL", cmd_uidl},
};

void pop3_command(struct pop3 *p, struct slice line)
{
	struct pop3_command cmd;

	if (pop3_parse(line, &cmd) < 0) {
		pop3_bad(p, "Unknown command.");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, cmd.name) == 0) {
			unsigned bad = p->bad;

			commands[i].run(p, cmd.args);
			if (!p->ended && p->bad == bad)
				p->bad = 0;
			return;
		}
	pop3_bad(p, "Unknown command.");
}
