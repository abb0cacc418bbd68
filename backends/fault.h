#ifndef CF_BACKENDS_FAULT_H
#define CF_BACKENDS_FAULT_H

/*
 * A wrapper that fails calls by rule, so that tests can break storage at every place.
 *
 * Short reads and full stores are codes: a get that fails with CF_ERR_DAMAGED looks like a truncated object,
 * a put that fails with CF_ERR_FULL stores nothing.
 */

#include "backends/wrap.h"

enum cf_fault_kind {
	CF_FAULT_FAIL,       /* the call does nothing and fails */
	CF_FAULT_LOST_REPLY, /* the call is done, and its success reported as a failure */
	CF_FAULT_STOP,       /* this call and all later ones of every kind fail: the host died before it */
	CF_FAULT_STOP_AFTER  /* this call is done, all later ones of every kind fail */
};

struct cf_fault_rule {
	enum cf_call call;       /* which calls count; CF_CALL_ANY: all */
	const char *prefix;      /* NULL, or only names that start with this text; borrowed */
	uint64_t off, len;       /* of gets only those that touch these bytes; len 0: all */
	unsigned nth;            /* 1: the first that counts; 0: none */
	bool is_repeated;        /* the nth, 2 nth, 3 nth ... */
	enum cf_fault_kind kind;
	int code;                /* 0: CF_ERR_FAILED */
};

/* Takes inner over when it succeeds. Without rules it passes everything on. */
int cf_fault_new(struct cf_backend *inner, struct cf_backend **backend_out, struct cf_err *err);

/* Set the one rule, and count from the start; NULL: none, and what was stopped works again. */
void cf_fault_set(struct cf_backend *fault, const struct cf_fault_rule *rule);

/* Calls since cf_fault_set that its rule counted, and how many of all calls were failed. */
unsigned cf_fault_counted(struct cf_backend *fault);
unsigned cf_fault_failed(struct cf_backend *fault);

#endif
