#include "backends/trace.h"

#include "base/err.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

struct trace {
	struct cf_wrap wrap;
	cf_trace_line_fn *line;
	void *user;
	pthread_mutex_t lock;
	struct cf_trace_counts counts;
};

/* One call under way. */
struct call {
	struct trace *trace;
	enum cf_call kind;
	const char *name;
	uint64_t off, len; /* put and get */
	struct timespec begun;
};

static struct call begin_call(struct cf_backend *backend, enum cf_call kind, const char *name)
{
	struct call call = {.trace = (struct trace *)backend, .kind = kind, .name = name};

	clock_gettime(CLOCK_MONOTONIC, &call.begun);
	return call;
}

static void write_line(const struct call *call, int rc)
{
	char line[CF_BACKEND_NAME_MAX + 160], range[48] = "";
	struct timespec now;
	double ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (double)(now.tv_sec - call->begun.tv_sec) * 1e3 +
	     (double)(now.tv_nsec - call->begun.tv_nsec) / 1e6;
	if (call->kind == CF_CALL_PUT || call->kind == CF_CALL_GET)
		snprintf(range, sizeof(range), " %llu+%llu", (unsigned long long)call->off,
			 (unsigned long long)call->len);
	snprintf(line, sizeof(line), "%s %.*s%s: %s, %.3f ms", cf_wrap_call_name(call->kind),
		 CF_BACKEND_NAME_MAX, call->name, range, rc < 0 ? cf_err_meaning(rc) : "ok", ms);
	call->trace->line(call->trace->user, line);
}

static int end_call(const struct call *call, int rc)
{
	struct trace *trace = call->trace;

	pthread_mutex_lock(&trace->lock);
	trace->counts.of[call->kind].n_calls++;
	if (rc < 0)
		trace->counts.of[call->kind].n_failed++;
	else
		trace->counts.of[call->kind].bytes += call->len;
	pthread_mutex_unlock(&trace->lock);
	if (trace->line)
		write_line(call, rc);
	return rc;
}

static int trace_put(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		     size_t n_parts, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct call call = begin_call(backend, CF_CALL_PUT, name);

	for (size_t i = 0; i < n_parts; i++)
		call.len += parts[i].len;
	return end_call(&call, inner->ops->put(inner, name, parts, n_parts, err));
}

static int trace_get(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
		     struct cf_buf *out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct call call = begin_call(backend, CF_CALL_GET, name);

	call.off = off;
	call.len = len;
	return end_call(&call, inner->ops->get(inner, name, off, len, out, err));
}

static int trace_size(struct cf_backend *backend, const char *name, uint64_t *size_out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct call call = begin_call(backend, CF_CALL_SIZE, name);

	return end_call(&call, inner->ops->size(inner, name, size_out, err));
}

static int trace_time(struct cf_backend *backend, const char *name, int64_t *ns_out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct call call = begin_call(backend, CF_CALL_TIME, name);

	return end_call(&call, inner->ops->time(inner, name, ns_out, err));
}

static int trace_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		      struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct call call = begin_call(backend, CF_CALL_LIST, prefix);

	return end_call(&call, inner->ops->list(inner, prefix, fn, user, err));
}

static int trace_remove(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	struct call call = begin_call(backend, CF_CALL_REMOVE, name);

	return end_call(&call, cf_wrap_remove(backend, name, err));
}

static void trace_close(struct cf_backend *backend)
{
	pthread_mutex_destroy(&((struct trace *)backend)->lock);
	cf_wrap_close(backend);
}

static const struct cf_backend_ops trace_ops = {
	.put = trace_put,
	.get = trace_get,
	.size = trace_size,
	.time = trace_time,
	.list = trace_list,
	.remove = trace_remove,
	.close = trace_close,
};

int cf_trace_new(struct cf_backend *inner, cf_trace_line_fn *line, void *user,
		 struct cf_backend **backend_out, struct cf_err *err)
{
	struct trace *trace = cf_wrap_new(sizeof(*trace), &trace_ops, inner, err);

	if (!trace)
		return CF_ERR_NOMEM;
	trace->line = line;
	trace->user = user;
	pthread_mutex_init(&trace->lock, NULL);
	*backend_out = &trace->wrap.base;
	return 0;
}

struct cf_trace_counts cf_trace_counts(struct cf_backend *backend)
{
	struct trace *trace = (struct trace *)backend;
	struct cf_trace_counts counts;

	pthread_mutex_lock(&trace->lock);
	counts = trace->counts;
	pthread_mutex_unlock(&trace->lock);
	return counts;
}

void cf_trace_reset(struct cf_backend *backend)
{
	struct trace *trace = (struct trace *)backend;

	pthread_mutex_lock(&trace->lock);
	trace->counts = (struct cf_trace_counts){0};
	pthread_mutex_unlock(&trace->lock);
}
