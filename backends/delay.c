#include "backends/delay.h"

#include "base/err.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

struct delay {
	struct cf_wrap wrap;
	struct cf_delay_options options;
};

static void sleep_ns(uint64_t ns)
{
	struct timespec left = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	if (ns == 0)
		return;
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static struct cf_backend *begin_call(struct cf_backend *backend)
{
	sleep_ns(((struct delay *)backend)->options.call_ns);
	return cf_wrap_inner(backend);
}

static void sleep_for_bytes(struct cf_backend *backend, uint64_t len)
{
	uint64_t rate = ((struct delay *)backend)->options.bytes_per_second;

	if (rate > 0)
		sleep_ns((uint64_t)((double)len / (double)rate * (double)NS_PER_S));
}

static int delay_put(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		     size_t n_parts, struct cf_err *err)
{
	struct cf_backend *inner = begin_call(backend);
	uint64_t len = 0;

	for (size_t i = 0; i < n_parts; i++)
		len += parts[i].len;
	sleep_for_bytes(backend, len);
	return inner->ops->put(inner, name, parts, n_parts, err);
}

static int delay_get(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
		     struct cf_buf *out, struct cf_err *err)
{
	struct cf_backend *inner = begin_call(backend);
	int rc = inner->ops->get(inner, name, off, len, out, err);

	/* Only now is it known that there were as many bytes. */
	if (rc == 0)
		sleep_for_bytes(backend, len);
	return rc;
}

static int delay_size(struct cf_backend *backend, const char *name, uint64_t *size_out, struct cf_err *err)
{
	struct cf_backend *inner = begin_call(backend);

	return inner->ops->size(inner, name, size_out, err);
}

static int delay_time(struct cf_backend *backend, const char *name, int64_t *ns_out, struct cf_err *err)
{
	struct cf_backend *inner = begin_call(backend);

	return inner->ops->time(inner, name, ns_out, err);
}

static int delay_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		      struct cf_err *err)
{
	struct cf_backend *inner = begin_call(backend);

	return inner->ops->list(inner, prefix, fn, user, err);
}

static int delay_remove(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	begin_call(backend);
	return cf_wrap_remove(backend, name, err);
}

static const struct cf_backend_ops delay_ops = {
	.put = delay_put,
	.get = delay_get,
	.size = delay_size,
	.time = delay_time,
	.list = delay_list,
	.remove = delay_remove,
	.close = cf_wrap_close,
};

int cf_delay_new(struct cf_backend *inner, const struct cf_delay_options *options,
		 struct cf_backend **backend_out, struct cf_err *err)
{
	struct delay *delay = cf_wrap_new(sizeof(*delay), &delay_ops, inner, err);

	if (!delay)
		return CF_ERR_NOMEM;
	delay->options = *options;
	if (options->is_remote)
		delay->wrap.base.caps |= CF_BACKEND_REMOTE;
	*backend_out = &delay->wrap.base;
	return 0;
}
