#ifndef CF_BASE_FAILURE_H
#define CF_BASE_FAILURE_H

/* The first failure of jobs that run side by side: it ends the rest, and is what the whole reports. Any thread. */

#include "base/err.h"

#include <pthread.h>

struct cf_failure {
	pthread_mutex_t lock;
	int rc;
	struct cf_err err;
};

void cf_failure_init(struct cf_failure *failure);
void cf_failure_release(struct cf_failure *failure);

/* 0, or the code of the first failure: what a job begins with. */
int cf_failure_code(struct cf_failure *failure);
/* How a job ended: rc and err, of which the first failure stays. */
void cf_failure_note(struct cf_failure *failure, int rc, const struct cf_err *err);
/* The same as cf_failure_code(), with the message in *err. */
int cf_failure_report(struct cf_failure *failure, struct cf_err *err);

#endif
