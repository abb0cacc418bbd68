#ifndef CF_BASE_CTX_H
#define CF_BASE_CTX_H

/*
 * What a library call needs from its surroundings: where to report, what time it is, whether to stop.
 *
 * One context may be shared by threads. There are no globals: everything comes through here.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cf_err;

enum cf_event_kind {
	CF_EVENT_WARNING, /* something was skipped or is odd: `object` and `text` say what; the command ends 3 */
	CF_EVENT_WAITING, /* nothing goes on until somebody else does something */
	CF_EVENT_NOTE,    /* worth saying in verbose mode: an entry begun, a pack stored */
	CF_EVENT_PROGRESS /* figures so far; at most a few a second */
};

/* Figures so far. Totals are 0 while unknown. */
struct cf_progress {
	uint64_t bytes_done, bytes_total;
	uint64_t items_done, items_total; /* files or objects */
	uint64_t bytes_stored;
};

struct cf_event {
	enum cf_event_kind kind;
	const char *name;   /* stable dotted name for JSON: "file.unreadable", "file.changed", "backup.progress" */
	const char *object; /* path, pack name, snapshot id; NULL when there is none */
	const char *text;   /* one line for a person; NULL for progress */
	const struct cf_progress *progress; /* CF_EVENT_PROGRESS only */
};

struct cf_reporter {
	/* Called from any thread; the strings are borrowed for the call. */
	void (*event)(void *user, const struct cf_event *event);
	void *user;
};

struct cf_ctx {
	const struct cf_reporter *reporter;       /* NULL: silence */
	int64_t (*now_ns)(void *user);            /* wall clock since 1970; NULL: CLOCK_REALTIME */
	void *clock_user;
	const atomic_int *cancel;                 /* non-zero asks to stop; NULL: never */
	atomic_uint_least64_t *n_warnings;        /* counts CF_EVENT_WARNING when not NULL */
};

int64_t cf_ctx_now_ns(const struct cf_ctx *ctx);

/* 0, or CF_ERR_CANCELED with a message once the caller asked to stop. Long loops call it. */
int cf_ctx_check(const struct cf_ctx *ctx, struct cf_err *err);

void cf_ctx_warn(const struct cf_ctx *ctx, const char *name, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void cf_ctx_waiting(const struct cf_ctx *ctx, const char *name, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void cf_ctx_note(const struct cf_ctx *ctx, const char *name, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void cf_ctx_progress(const struct cf_ctx *ctx, const char *name, const struct cf_progress *progress);

#endif
