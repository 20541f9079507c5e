#ifndef DUET_BASE_LOOP_H
#define DUET_BASE_LOOP_H

/*
 * The event loop: the one door to sd-event.  One loop per process, one
 * thread; only loop_worker() uses other threads, and its callback comes back
 * on the loop.
 *
 * A handle may be freed from inside any callback, its own included.
 */

#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <sys/types.h>

struct loop;
struct loop_io;
struct loop_timer;

enum { LOOP_IN = 1, LOOP_OUT = 2, LOOP_HUP = 4 };

int loop_new(struct loop **out);
void loop_free(struct loop *l);
/* Runs until loop_stop(); gives its code. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int code);
/* One turn; waits at most usec (UINT64_MAX = for ever).  Gives how many
 * callbacks ran, 0 if the time was up.  Tests. */
int loop_turn(struct loop *l, uint64_t usec);

typedef void loop_io_cb(void *arg, unsigned events);
/* fd stays the caller's; free the handle before closing it. */
struct loop_io *loop_io_new(struct loop *l, int fd, unsigned events,
			    loop_io_cb *cb, void *arg);
void loop_io_events(struct loop_io *io, unsigned events);   /* 0 = off */
void loop_io_free(struct loop_io *io);

typedef void loop_cb(void *arg);
/* One shot, CLOCK_MONOTONIC, usec from now; arm again with loop_timer_set. */
struct loop_timer *loop_timer_new(struct loop *l, uint64_t usec, loop_cb *cb,
				  void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t usec);
void loop_timer_off(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* Runs cb once, after the current callbacks, before waiting again. */
void loop_defer(struct loop *l, loop_cb *cb, void *arg);
/* Takes back a call of loop_defer with the same cb and arg that has not run
 * yet, if there is one. */
void loop_undefer(struct loop *l, loop_cb *cb, void *arg);
/* Runs cb once a turn after all input callbacks, while registered: the place
 * where what was gathered in the turn is sent. */
void loop_post(struct loop *l, loop_cb *cb, void *arg);

/* The signal is blocked for good (it comes by the loop): reset the mask after
 * fork and before exec.  A child is reaped here and watched until it ends;
 * status as from waitpid(). */
int loop_signal(struct loop *l, int sig, loop_cb *cb, void *arg);
typedef void loop_child_cb(void *arg, pid_t pid, int status);
int loop_child(struct loop *l, pid_t pid, loop_child_cb *cb, void *arg);

/* Runs work in another thread, then done on the loop with its result.
 * Jobs start in the order of submission; with one thread they run one after
 * the other. */
typedef int loop_work(void *arg);
typedef void loop_work_done(void *arg, int result);
struct loop_queue;
struct loop_queue *loop_queue_new(struct loop *l, unsigned threads);
/* Waits until every job submitted has run, and calls what `done` is due. */
void loop_queue_free(struct loop_queue *q);
void loop_worker(struct loop_queue *q, loop_work *work, loop_work_done *done,
		 void *arg);

/* systemd: READY=1, STATUS=…, RELOADING=1, STOPPING=1.  No-op without a
 * NOTIFY_SOCKET. */
void loop_notify(const char *state);
/* Pings the watchdog from the loop if systemd asked for it. */
void loop_watchdog(struct loop *l);
/* Listening sockets passed by systemd: count; the first is fd 3. */
int loop_listen_fds(void);

#endif
