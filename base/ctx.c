#include "base/ctx.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

int64_t cf_ctx_now_ns(const struct cf_ctx *ctx)
{
	struct timespec now;

	if (ctx->now_ns)
		return ctx->now_ns(ctx->clock_user);
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int cf_ctx_check(const struct cf_ctx *ctx, struct cf_err *err)
{
	if (ctx->cancel && atomic_load_explicit(ctx->cancel, memory_order_relaxed))
		return cf_err_set(err, CF_ERR_CANCELED, "canceled");
	return 0;
}

static void send_event(const struct cf_ctx *ctx, const struct cf_event *event)
{
	if (ctx->reporter)
		ctx->reporter->event(ctx->reporter->user, event);
}

__attribute__((format(printf, 5, 0))) static void
send_text(const struct cf_ctx *ctx, enum cf_event_kind kind, const char *name, const char *object,
	  const char *fmt, va_list args)
{
	char text[CF_ERR_TEXT_MAX];

	vsnprintf(text, sizeof(text), fmt, args);
	send_event(ctx, &(struct cf_event){.kind = kind, .name = name, .object = object, .text = text});
}

void cf_ctx_warn(const struct cf_ctx *ctx, const char *name, const char *object, const char *fmt, ...)
{
	va_list args;

	if (ctx->n_warnings)
		atomic_fetch_add(ctx->n_warnings, 1);
	va_start(args, fmt);
	send_text(ctx, CF_EVENT_WARNING, name, object, fmt, args);
	va_end(args);
}

void cf_ctx_waiting(const struct cf_ctx *ctx, const char *name, const char *object, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	send_text(ctx, CF_EVENT_WAITING, name, object, fmt, args);
	va_end(args);
}

void cf_ctx_note(const struct cf_ctx *ctx, const char *name, const char *object, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	send_text(ctx, CF_EVENT_NOTE, name, object, fmt, args);
	va_end(args);
}

void cf_ctx_progress(const struct cf_ctx *ctx, const char *name, const struct cf_progress *progress)
{
	send_event(ctx, &(struct cf_event){
				.kind = CF_EVENT_PROGRESS, .name = name, .progress = progress});
}
