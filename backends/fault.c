#include "backends/fault.h"

#include "base/err.h"

#include <pthread.h>
#include <string.h>

struct fault {
	struct cf_wrap wrap;
	pthread_mutex_t lock;
	struct cf_fault_rule rule; /* nth 0: none */
	unsigned n_counted, n_failed;
	bool is_stopped;
};

/* What to do with one call. */
struct verdict {
	bool fails_before, fails_after;
	int code;
};

/* What a call is about. */
struct target {
	enum cf_call call;
	const char *name;
	uint64_t off, len; /* of a get */
};

static bool rule_counts(const struct cf_fault_rule *rule, const struct target *target)
{
	if (rule->nth == 0 || (rule->call != CF_CALL_ANY && rule->call != target->call))
		return false;
	if (rule->len && target->call == CF_CALL_GET &&
	    (target->off >= rule->off + rule->len || rule->off >= target->off + target->len))
		return false;
	return !rule->prefix || strncmp(target->name, rule->prefix, strlen(rule->prefix)) == 0;
}

/* Count a call against the rule; true when it is one of those to fail. */
static bool is_hit(struct fault *fault, const struct target *target)
{
	const struct cf_fault_rule *rule = &fault->rule;

	if (!rule_counts(rule, target))
		return false;
	fault->n_counted++;
	return rule->is_repeated ? fault->n_counted % rule->nth == 0 : fault->n_counted == rule->nth;
}

static struct verdict judge_target(struct fault *fault, const struct target *target)
{
	struct verdict verdict = {.fails_before = false};

	pthread_mutex_lock(&fault->lock);
	verdict.code = fault->rule.code ? fault->rule.code : CF_ERR_FAILED;
	verdict.fails_before = fault->is_stopped;
	if (is_hit(fault, target)) {
		enum cf_fault_kind kind = fault->rule.kind;

		if (kind == CF_FAULT_FAIL || kind == CF_FAULT_STOP)
			verdict.fails_before = true;
		else if (kind == CF_FAULT_LOST_REPLY)
			verdict.fails_after = true;
		if (kind == CF_FAULT_STOP || kind == CF_FAULT_STOP_AFTER)
			fault->is_stopped = true;
	}
	if (verdict.fails_before || verdict.fails_after)
		fault->n_failed++;
	pthread_mutex_unlock(&fault->lock);
	return verdict;
}

static struct verdict judge(struct fault *fault, enum cf_call call, const char *name)
{
	const struct target target = {.call = call, .name = name};

	return judge_target(fault, &target);
}

static int injected(struct cf_backend *backend, enum cf_call call, const char *name, int code,
		    struct cf_err *err)
{
	return cf_err_set(err, code, "%s %s/%s: a fault was injected", cf_wrap_call_name(call),
			  backend->url, name);
}

static int fault_put(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		     size_t n_parts, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct verdict verdict = judge((struct fault *)backend, CF_CALL_PUT, name);
	int rc;

	if (verdict.fails_before)
		return injected(backend, CF_CALL_PUT, name, verdict.code, err);
	rc = inner->ops->put(inner, name, parts, n_parts, err);
	if (rc == 0 && verdict.fails_after)
		return injected(backend, CF_CALL_PUT, name, verdict.code, err);
	return rc;
}

static int fault_get(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
		     struct cf_buf *out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	const struct target target = {.call = CF_CALL_GET, .name = name, .off = off, .len = len};
	struct verdict verdict = judge_target((struct fault *)backend, &target);

	/* A read has no effect that could outlive its reply: both ways of failing are one. */
	if (verdict.fails_before || verdict.fails_after)
		return injected(backend, CF_CALL_GET, name, verdict.code, err);
	return inner->ops->get(inner, name, off, len, out, err);
}

static int fault_size(struct cf_backend *backend, const char *name, uint64_t *size_out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct verdict verdict = judge((struct fault *)backend, CF_CALL_SIZE, name);

	if (verdict.fails_before || verdict.fails_after)
		return injected(backend, CF_CALL_SIZE, name, verdict.code, err);
	return inner->ops->size(inner, name, size_out, err);
}

static int fault_time(struct cf_backend *backend, const char *name, int64_t *ns_out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct verdict verdict = judge((struct fault *)backend, CF_CALL_TIME, name);

	if (verdict.fails_before || verdict.fails_after)
		return injected(backend, CF_CALL_TIME, name, verdict.code, err);
	return inner->ops->time(inner, name, ns_out, err);
}

static int fault_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		      struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct verdict verdict = judge((struct fault *)backend, CF_CALL_LIST, prefix);
	int rc;

	if (verdict.fails_before)
		return injected(backend, CF_CALL_LIST, prefix, verdict.code, err);
	rc = inner->ops->list(inner, prefix, fn, user, err);
	if (rc == 0 && verdict.fails_after)
		return injected(backend, CF_CALL_LIST, prefix, verdict.code, err);
	return rc;
}

static int fault_remove(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	struct verdict verdict = judge((struct fault *)backend, CF_CALL_REMOVE, name);
	int rc;

	if (verdict.fails_before)
		return injected(backend, CF_CALL_REMOVE, name, verdict.code, err);
	rc = cf_wrap_remove(backend, name, err);
	if (rc == 0 && verdict.fails_after)
		return injected(backend, CF_CALL_REMOVE, name, verdict.code, err);
	return rc;
}

static void fault_close(struct cf_backend *backend)
{
	pthread_mutex_destroy(&((struct fault *)backend)->lock);
	cf_wrap_close(backend);
}

static const struct cf_backend_ops fault_ops = {
	.put = fault_put,
	.get = fault_get,
	.size = fault_size,
	.time = fault_time,
	.list = fault_list,
	.remove = fault_remove,
	.close = fault_close,
};

int cf_fault_new(struct cf_backend *inner, struct cf_backend **backend_out, struct cf_err *err)
{
	struct fault *fault = cf_wrap_new(sizeof(*fault), &fault_ops, inner, err);

	if (!fault)
		return CF_ERR_NOMEM;
	pthread_mutex_init(&fault->lock, NULL);
	*backend_out = &fault->wrap.base;
	return 0;
}

void cf_fault_set(struct cf_backend *backend, const struct cf_fault_rule *rule)
{
	struct fault *fault = (struct fault *)backend;

	pthread_mutex_lock(&fault->lock);
	fault->rule = rule ? *rule : (struct cf_fault_rule){.nth = 0};
	fault->n_counted = 0;
	fault->n_failed = 0;
	fault->is_stopped = false;
	pthread_mutex_unlock(&fault->lock);
}

unsigned cf_fault_counted(struct cf_backend *backend)
{
	struct fault *fault = (struct fault *)backend;
	unsigned n;

	pthread_mutex_lock(&fault->lock);
	n = fault->n_counted;
	pthread_mutex_unlock(&fault->lock);
	return n;
}

unsigned cf_fault_failed(struct cf_backend *backend)
{
	struct fault *fault = (struct fault *)backend;
	unsigned n;

	pthread_mutex_lock(&fault->lock);
	n = fault->n_failed;
	pthread_mutex_unlock(&fault->lock);
	return n;
}
