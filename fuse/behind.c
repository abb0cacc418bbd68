#include "fuse/behind.h"

#include "base/err.h"
#include "fuse/state.h"

#include <stdlib.h>

enum {
	QUEUE_LEN = 64
};

struct range {
	uint64_t ino, off, len;
};

struct cf_behind {
	struct fuse_session *session;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct range queue[QUEUE_LEN];
	size_t first, n;
	bool is_over, is_running;
	pthread_t thread;
};

static void *drop_ranges(void *user)
{
	struct cf_behind *behind = user;

	pthread_mutex_lock(&behind->lock);
	for (;;) {
		struct range range;

		while (behind->n == 0 && !behind->is_over)
			pthread_cond_wait(&behind->changed, &behind->lock);
		if (behind->is_over)
			break;
		range = behind->queue[behind->first];
		behind->first = (behind->first + 1) % QUEUE_LEN;
		behind->n--;
		pthread_mutex_unlock(&behind->lock);
		/* Whether it worked only matters for speed. */
		fuse_lowlevel_notify_inval_inode(behind->session, range.ino, (off_t)range.off, (off_t)range.len);
		pthread_mutex_lock(&behind->lock);
	}
	pthread_mutex_unlock(&behind->lock);
	return NULL;
}

int cf_behind_new(struct fuse_session *session, struct cf_behind **behind_out, struct cf_err *err)
{
	struct cf_behind *behind = calloc(1, sizeof(*behind));
	int rc;

	if (!behind)
		return cf_err_nomem(err);
	behind->session = session;
	pthread_mutex_init(&behind->lock, NULL);
	pthread_cond_init(&behind->changed, NULL);
	rc = pthread_create(&behind->thread, NULL, drop_ranges, behind);
	if (rc != 0) {
		cf_behind_free(behind);
		return cf_err_errno(err, rc, "start a thread");
	}
	behind->is_running = true;
	*behind_out = behind;
	return 0;
}

void cf_behind_free(struct cf_behind *behind)
{
	if (!behind)
		return;
	cf_behind_stop(behind);
	pthread_mutex_destroy(&behind->lock);
	pthread_cond_destroy(&behind->changed);
	free(behind);
}

void cf_behind_drop(struct cf_behind *behind, uint64_t ino, uint64_t off, uint64_t len)
{
	pthread_mutex_lock(&behind->lock);
	/* When it cannot keep up, the kernel keeps the rest. */
	if (behind->n < QUEUE_LEN) {
		behind->queue[(behind->first + behind->n++) % QUEUE_LEN] = (struct range){ino, off, len};
		pthread_cond_signal(&behind->changed);
	}
	pthread_mutex_unlock(&behind->lock);
}

void cf_behind_stop(struct cf_behind *behind)
{
	bool was_running;

	pthread_mutex_lock(&behind->lock);
	was_running = behind->is_running;
	behind->is_running = false;
	behind->is_over = true;
	pthread_cond_signal(&behind->changed);
	pthread_mutex_unlock(&behind->lock);
	if (was_running)
		pthread_join(behind->thread, NULL);
}
