#include "node/pop3/pop3.h"
#include "storage/mailbox.h"

/*
 * RETR and TOP.  The message is opened before the first octet of the reply;
 * one that is missing or damaged is asked of the partner first (read-repair).
 * After +OK nothing can go wrong any more.
 */

void pop3_close_body(struct pop3 *p)
{
	if (p->has_body)
		mailbox_body_close(p->inbox, &p->body);
	p->has_body = false;
	p->rest = SLICE_NONE;
}

static void send_step(struct pop3 *p)
{
	struct slice piece = slice_sub(p->rest, 0, POP3_STEP_OCTETS);

	pop3_stuff(&p->stuffing, piece, pop3_out(p));
	*(p->top ? &p->n.top_bytes : &p->n.retr_bytes) += piece.n;
	p->rest = slice_sub(p->rest, piece.n, p->rest.n);
	if (p->rest.n)
		return;
	pop3_stuff_end(&p->stuffing, pop3_out(p));
	pop3_close_body(p);
	if (p->top) {
		p->n.top_count++;
	} else {
		p->n.retr_count++;
		p->msgs[p->msg].flags |= POP3_RETRIEVED;
	}
	pop3_step_over(p);
}

static void on_repaired(void *arg, int result)
{
	struct pop3 *p = arg;

	(void)result;		/* reading it again tells */
	pop3_enter(p);
	pop3_resume(p);
	pop3_leave(p);
}

static void open_step(struct pop3 *p)
{
	struct err e = ERR_NONE;
	uint32_t rec;

	if (pop3_rec(p, p->msg, &rec) < 0) {
		pop3_say(p, "-ERR Message is expunged.");
		pop3_step_over(p);
		return;
	}
	if (mailbox_body_open(p->inbox, rec, &p->body, &e) < 0) {
		if (!p->repaired) {
			p->repaired = true;
			p->waiting = true;
			session_repair(p->s, p->inbox, rec, on_repaired, p);
			return;
		}
		pop3_say(p, "-ERR [SYS/TEMP] The message can't be read here "
			    "now.");
		pop3_step_over(p);
		return;
	}
	p->has_body = true;
	p->rest = p->body.data;
	if (p->top) {
		p->rest = slice_sub(p->rest, 0,
				    pop3_top(p->rest, p->top_lines));
		pop3_say(p, "+OK");
	} else {
		pop3_say(p, "+OK %llu octets",
			 (unsigned long long)p->msgs[p->msg].size);
	}
	p->step = send_step;
}

void pop3_retr(struct pop3 *p, uint32_t i, bool top, uint32_t lines)
{
	p->msg = i;
	p->top = top;
	p->top_lines = lines;
	p->repaired = false;
	p->stuffing = (struct pop3_stuffing){0};
	p->step = open_step;
}
