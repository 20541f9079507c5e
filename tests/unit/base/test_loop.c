#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/clock.h"
#include "node/base/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What happened, as text: each callback adds its letter. */
struct story {
	struct loop *l;
	struct buf text;
	struct loop_io *io;
	struct loop_timer *timer;
	int fd[2];
};

struct note {
	struct story *s;
	const char *word;
};

static void setup(struct story *s)
{
	*s = (struct story){0};
	CU_EQ_INT(loop_new(&s->l), 0);
	buf_init(&s->text, 4096);
	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fd), 0);
}

static void teardown(struct story *s)
{
	loop_io_free(s->io);
	loop_timer_free(s->timer);
	loop_free(s->l);
	close(s->fd[0]);
	close(s->fd[1]);
	buf_fini(&s->text);
}

static void add(void *arg)
{
	struct note *n = arg;

	buf_str(&n->s->text, n->word);
}

static void on_input(void *arg, unsigned events)
{
	struct story *s = arg;
	char c;

	buf_printf(&s->text, "[%u]", events);
	while (read(s->fd[0], &c, 1) == 1)
		buf_char(&s->text, (uint8_t)c);
}

static void posts_run_after_input_and_deferred_even_under_load(void)
{
	struct story s;
	struct note d = {&s, "d"}, p = {&s, "p"};

	setup(&s);
	loop_post(s.l, add, &p);
	s.io = loop_io_new(s.l, s.fd[0], LOOP_IN, on_input, &s);
	loop_defer(s.l, add, &d);
	CU_EQ_INT(write(s.fd[1], "x", 1), 1);
	loop_turn(s.l, UINT64_MAX);
	CU_EQ_TEXT(buf_all(&s.text), "[1]xdp");
	teardown(&s);
}

static void never_consumed(void *arg, unsigned events)
{
	(void)events;
	++*(unsigned *)arg;
}

static void steady_input_does_not_starve_posts(void)
{
	struct story s;
	struct note p = {&s, "p"};
	unsigned calls = 0;

	setup(&s);
	loop_post(s.l, add, &p);
	s.io = loop_io_new(s.l, s.fd[0], LOOP_IN, never_consumed, &calls);
	CU_EQ_INT(write(s.fd[1], "x", 1), 1);
	loop_turn(s.l, UINT64_MAX);
	CU_EQ_TEXT(buf_all(&s.text), "p");
	CU_CLAIM(calls > 1 && calls < 10000, "%u calls in a turn", calls);
	teardown(&s);
}

struct chain {
	struct story *s;
	int left;
};

static void defer_again(void *arg)
{
	struct chain *c = arg;

	buf_char(&c->s->text, 'd');
	if (--c->left > 0)
		loop_defer(c->s->l, defer_again, c);
}

static void what_is_deferred_anew_does_not_wait_for_events(void)
{
	struct story s;
	struct chain c = {&s, 5};

	setup(&s);
	loop_defer(s.l, defer_again, &c);
	for (int i = 0; i < 5 && c.left > 0; i++)
		loop_turn(s.l, UINT64_MAX);
	CU_EQ_TEXT(buf_all(&s.text), "ddddd");
	teardown(&s);
}

struct pair {
	struct note *other;
	struct story *s;
};

static void undefer_other(void *arg)
{
	struct pair *p = arg;

	buf_char(&p->s->text, 'u');
	loop_undefer(p->s->l, add, p->other);
}

static void a_deferred_call_can_be_taken_back_by_one_before_it(void)
{
	struct story s;
	struct note a = {&s, "a"}, b = {&s, "b"};
	struct pair p = {&b, &s};

	setup(&s);
	loop_defer(s.l, add, &a);
	loop_undefer(s.l, add, &a);
	loop_defer(s.l, undefer_other, &p);
	loop_defer(s.l, add, &b);
	loop_defer(s.l, add, &a);
	loop_turn(s.l, 0);
	CU_EQ_TEXT(buf_all(&s.text), "ua");
	teardown(&s);
}

static void free_own_handle(void *arg, unsigned events)
{
	struct story *s = arg;

	(void)events;
	loop_io_free(s->io);
	s->io = NULL;
	buf_char(&s->text, 'f');
}

static void a_handle_may_be_freed_from_its_own_callback(void)
{
	struct story s;

	setup(&s);
	s.io = loop_io_new(s.l, s.fd[0], LOOP_IN, free_own_handle, &s);
	CU_EQ_INT(write(s.fd[1], "x", 1), 1);
	loop_turn(s.l, UINT64_MAX);
	loop_turn(s.l, 0);
	CU_EQ_TEXT(buf_all(&s.text), "f");
	teardown(&s);
}

static void events_switched_off_are_silent_even_after_a_hang_up(void)
{
	struct story s;

	setup(&s);
	s.io = loop_io_new(s.l, s.fd[0], 0, on_input, &s);
	shutdown(s.fd[1], SHUT_RDWR);
	CU_EQ_INT(loop_turn(s.l, 0), 0);
	loop_io_events(s.io, LOOP_OUT);
	loop_turn(s.l, UINT64_MAX);
	CU_ASSERT(s.text.n > 0);
	buf_reset(&s.text);
	loop_io_events(s.io, 0);
	CU_EQ_INT(loop_turn(s.l, 0), 0);
	CU_EQ_TEXT(buf_all(&s.text), "");
	teardown(&s);
}

static void timer_stops(void *arg)
{
	struct story *s = arg;

	buf_char(&s->text, 't');
	loop_timer_free(s->timer);
	s->timer = NULL;
	loop_stop(s->l, 7);
}

static void timers_fire_once_and_not_early(void)
{
	struct story s;
	struct note n = {&s, "n"};
	struct clock *c = clock_system();
	struct loop_timer *off, *twice;
	uint64_t start = clock_mono(c);

	setup(&s);
	off = loop_timer_new(s.l, 0, add, &n);
	loop_timer_off(off);
	twice = loop_timer_new(s.l, UINT64_MAX, add, &n);
	loop_timer_set(twice, 0);
	s.timer = loop_timer_new(s.l, 20000, timer_stops, &s);
	CU_EQ_INT(loop_run(s.l), 7);
	CU_ASSERT(clock_mono(c) - start >= 20000);
	CU_EQ_TEXT(buf_all(&s.text), "nt");
	loop_timer_free(off);
	loop_timer_free(twice);
	loop_timer_free(NULL);
	teardown(&s);
}

static void a_timer_that_is_put_off_fires_at_the_last_time(void)
{
	struct story s;
	struct note n = {&s, "n"};
	struct clock *c = clock_system();
	struct loop_timer *later, *sooner;
	uint64_t start = clock_mono(c);

	setup(&s);
	later = loop_timer_new(s.l, 1000, add, &n);
	loop_timer_set(later, 2000);
	loop_timer_set(later, 60u * 1000 * 1000);
	sooner = loop_timer_new(s.l, 60u * 1000 * 1000, add, &n);
	loop_timer_set(sooner, 70u * 1000 * 1000);
	loop_timer_set(sooner, 5000);
	s.timer = loop_timer_new(s.l, 10000, timer_stops, &s);
	loop_timer_set(s.timer, 30000);
	CU_EQ_INT(loop_run(s.l), 7);
	CU_ASSERT(clock_mono(c) - start >= 30000);
	CU_EQ_TEXT(buf_all(&s.text), "nt");
	loop_timer_off(later);
	loop_timer_free(later);
	loop_timer_free(sooner);
	teardown(&s);
}

static void signals_come_by_the_loop(void)
{
	struct story s;
	struct note n = {&s, "s"};

	setup(&s);
	CU_EQ_INT(loop_signal(s.l, SIGUSR1, add, &n), 0);
	kill(getpid(), SIGUSR1);
	CU_EQ_TEXT(buf_all(&s.text), "");
	loop_turn(s.l, UINT64_MAX);
	CU_EQ_TEXT(buf_all(&s.text), "s");
	teardown(&s);
}

static void child_ended(void *arg, pid_t pid, int status)
{
	struct story *s = arg;

	(void)pid;
	if (WIFEXITED(status))
		buf_printf(&s->text, "exit %d;", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		buf_printf(&s->text, "signal %d;", WTERMSIG(status));
}

static void children_are_reaped_with_their_status(void)
{
	struct story s;

	setup(&s);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		size_t before = s.text.n;

		if (pid == 0) {
			if (i)
				pause();
			_exit(3);
		}
		CU_EQ_INT(loop_child(s.l, pid, child_ended, &s), 0);
		if (i)
			kill(pid, SIGKILL);
		while (s.text.n == before)
			loop_turn(s.l, UINT64_MAX);
		CU_EQ_INT(waitpid(pid, NULL, WNOHANG), -1);
	}
	CU_EQ_TEXT(buf_all(&s.text), "exit 3;signal 9;");
	teardown(&s);
}

struct job {
	struct story *s;
	int number;
	pthread_t where;
};

static int work(void *arg)
{
	struct job *j = arg;

	j->where = pthread_self();
	return j->number * 10;
}

static void work_done(void *arg, int result)
{
	struct job *j = arg;

	CU_ASSERT(!pthread_equal(j->where, pthread_self()));
	buf_printf(&j->s->text, "%d ", result);
}

static void jobs_of_one_thread_come_back_in_order(void)
{
	struct story s;
	struct loop_queue *q;
	struct job jobs[9];

	setup(&s);
	q = loop_queue_new(s.l, 1);
	for (int i = 0; i < 9; i++) {
		jobs[i] = (struct job){&s, i, 0};
		loop_worker(q, work, work_done, &jobs[i]);
	}
	CU_EQ_TEXT(buf_all(&s.text), "");
	while (s.text.n < 26)
		loop_turn(s.l, UINT64_MAX);
	CU_EQ_TEXT(buf_all(&s.text), "0 10 20 30 40 50 60 70 80 ");
	loop_queue_free(q);
	teardown(&s);
}

static void freeing_a_queue_waits_for_all_its_jobs(void)
{
	struct story s;
	struct loop_queue *q;
	struct job jobs[50];

	setup(&s);
	q = loop_queue_new(s.l, 3);
	for (int i = 0; i < 50; i++) {
		jobs[i] = (struct job){&s, 0, 0};
		loop_worker(q, work, work_done, &jobs[i]);
	}
	loop_queue_free(q);
	CU_EQ_INT(s.text.n, 100);
	loop_queue_free(NULL);
	teardown(&s);
}

static void a_loop_can_go_with_work_left(void)
{
	struct story s;
	struct note n = {&s, "n"};

	setup(&s);
	loop_defer(s.l, add, &n);
	CU_EQ_INT(loop_signal(s.l, SIGUSR2, add, &n), 0);
	teardown(&s);
	loop_free(NULL);
	loop_notify("READY=1");
	CU_EQ_INT(loop_listen_fds(), 0);
}

CU_TESTS(CU_CASE(posts_run_after_input_and_deferred_even_under_load),
	 CU_CASE(steady_input_does_not_starve_posts),
	 CU_CASE(what_is_deferred_anew_does_not_wait_for_events),
	 CU_CASE(a_deferred_call_can_be_taken_back_by_one_before_it),
	 CU_CASE(a_handle_may_be_freed_from_its_own_callback),
	 CU_CASE(events_switched_off_are_silent_even_after_a_hang_up),
	 CU_CASE(timers_fire_once_and_not_early),
	 CU_CASE(a_timer_that_is_put_off_fires_at_the_last_time),
	 CU_CASE(signals_come_by_the_loop),
	 CU_CASE(children_are_reaped_with_their_status),
	 CU_CASE(jobs_of_one_thread_come_back_in_order),
	 CU_CASE(freeing_a_queue_waits_for_all_its_jobs),
	 CU_CASE(a_loop_can_go_with_work_left))
