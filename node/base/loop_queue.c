/* Jobs in other threads, results on the loop. */

#include "node/base/loop.h"
#include "node/base/arena.h"
#include "node/base/list.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct loop_job {
	struct list link;
	loop_work *work;
	loop_work_done *done;
	void *arg;
	int result;
};

struct loop_queue {
	int event;		/* eventfd: something is in finished */
	struct loop_io *io;
	pthread_t *threads;
	unsigned n_threads, max_threads;

	pthread_mutex_t lock;	/* over what follows */
	pthread_cond_t wake;
	struct list waiting, finished;
	unsigned idle;
	bool stopping;
};

static void *thread_main(void *arg)
{
	struct loop_queue *q = arg;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		struct loop_job *j;
		uint64_t one = 1;

		while (list_empty(&q->waiting) && !q->stopping) {
			q->idle++;
			pthread_cond_wait(&q->wake, &q->lock);
			q->idle--;
		}
		/* What was submitted is run even when stopping. */
		if (list_empty(&q->waiting))
			break;
		j = CONTAINER_OF(q->waiting.next, struct loop_job, link);
		list_remove(&j->link);
		pthread_mutex_unlock(&q->lock);
		j->result = j->work(j->arg);
		pthread_mutex_lock(&q->lock);
		bool first = list_empty(&q->finished);
		list_append(&q->finished, &j->link);
		/* Can fail only if the counter is full: then it is awake. */
		if (first && write(q->event, &one, sizeof(one)) < 0)
			continue;
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static void deliver(struct loop_queue *q)
{
	struct list now;

	list_init(&now);
	pthread_mutex_lock(&q->lock);
	while (!list_empty(&q->finished)) {
		struct list *n = q->finished.next;

		list_remove(n);
		list_append(&now, n);
	}
	pthread_mutex_unlock(&q->lock);
	/* A callback may free the queue: it is not touched from here on. */
	while (!list_empty(&now)) {
		struct loop_job *j = CONTAINER_OF(now.next, struct loop_job, link);

		list_remove(&j->link);
		j->done(j->arg, j->result);
		free(j);
	}
}

static void on_event(void *arg, unsigned events)
{
	struct loop_queue *q = arg;
	uint64_t n;

	(void)events;
	if (read(q->event, &n, sizeof(n)) < 0)
		return;
	deliver(q);
}

struct loop_queue *loop_queue_new(struct loop *l, unsigned threads)
{
	struct loop_queue *q = NEW(struct loop_queue);

	assert(threads >= 1);
	q->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->event < 0) {
		perror("duet: eventfd");
		abort();
	}
	q->io = loop_io_new(l, q->event, LOOP_IN, on_event, q);
	q->max_threads = threads;
	q->threads = xzalloc(threads * sizeof(*q->threads));
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	list_init(&q->waiting);
	list_init(&q->finished);
	return q;
}

void loop_queue_free(struct loop_queue *q)
{
	if (!q)
		return;
	pthread_mutex_lock(&q->lock);
	q->stopping = true;
	pthread_cond_broadcast(&q->wake);
	pthread_mutex_unlock(&q->lock);
	for (unsigned i = 0; i < q->n_threads; i++)
		pthread_join(q->threads[i], NULL);
	deliver(q);
	loop_io_free(q->io);
	close(q->event);
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q->threads);
	free(q);
}

/* Threads come when they are needed; signals belong to the loop's thread. */
static void add_thread(struct loop_queue *q)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	r = pthread_create(&q->threads[q->n_threads], NULL, thread_main, q);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0) {
		q->n_threads++;
		return;
	}
	/* With one thread already there, it is only slower. */
	if (q->n_threads == 0) {
		fprintf(stderr, "duet: cannot start a thread: %s\n",
			strerrordesc_np(r));
		abort();
	}
}

void loop_worker(struct loop_queue *q, loop_work *work, loop_work_done *done,
		 void *arg)
{
	struct loop_job *j = NEW(struct loop_job);
	bool more;

	*j = (struct loop_job){.work = work, .done = done, .arg = arg};
	pthread_mutex_lock(&q->lock);
	list_append(&q->waiting, &j->link);
	more = q->idle == 0 && q->n_threads < q->max_threads;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
	if (more)
		add_thread(q);
}
