#ifndef CF_BASE_POOL_H
#define CF_BASE_POOL_H

/*
 * Identical worker threads around one bounded queue.
 *
 * A job is embedded in the caller's own struct and stays the caller's: the pool touches it until run()
 * is entered. Jobs start in the order of submission. A job must not submit to its own pool.
 */

struct cf_err;
struct cf_pool;

struct cf_job {
	/* worker is from 0 to n_threads - 1 and constant per thread: an index into per-worker scratch. */
	void (*run)(struct cf_job *job, unsigned worker);
	struct cf_job *next; /* the pool's */
};

/* n_threads 0 means one per available processor. At most max_queued jobs wait. */
int cf_pool_new(unsigned n_threads, unsigned max_queued, struct cf_pool **pool_out, struct cf_err *err);
unsigned cf_pool_threads(const struct cf_pool *pool);

/* Queue a job; blocks while the queue is full. Any thread but the pool's own. */
void cf_pool_submit(struct cf_pool *pool, struct cf_job *job);

/* Wait until every job submitted before the call has ended. */
void cf_pool_wait(struct cf_pool *pool);

/* Runs what is queued, then ends the threads. */
void cf_pool_free(struct cf_pool *pool);

#endif
