#include "base/failure.h"

void cf_failure_init(struct cf_failure *failure)
{
	*failure = (struct cf_failure){.err = CF_ERR_INIT};
	pthread_mutex_init(&failure->lock, NULL);
}

void cf_failure_release(struct cf_failure *failure)
{
	pthread_mutex_destroy(&failure->lock);
}

int cf_failure_code(struct cf_failure *failure)
{
	int rc;

	pthread_mutex_lock(&failure->lock);
	rc = failure->rc;
	pthread_mutex_unlock(&failure->lock);
	return rc;
}

void cf_failure_note(struct cf_failure *failure, int rc, const struct cf_err *err)
{
	if (rc >= 0)
		return;
	pthread_mutex_lock(&failure->lock);
	if (failure->rc == 0) {
		failure->rc = rc;
		failure->err = *err;
	}
	pthread_mutex_unlock(&failure->lock);
}

int cf_failure_report(struct cf_failure *failure, struct cf_err *err)
{
	int rc;

	pthread_mutex_lock(&failure->lock);
	rc = failure->rc;
	if (rc < 0 && err)
		*err = failure->err;
	pthread_mutex_unlock(&failure->lock);
	return rc;
}
