#ifndef CF_BACKENDS_DELAY_H
#define CF_BACKENDS_DELAY_H

/* A wrapper that makes a store slow: latency per call, and a rate for the bytes of put and get. */

#include "backends/wrap.h"

struct cf_delay_options {
	uint64_t call_ns;          /* before every call */
	uint64_t bytes_per_second; /* of each call by itself; 0: no limit */
	bool is_remote;            /* set CF_BACKEND_REMOTE, so that callers cache and prefetch */
};

/* Takes inner over when it succeeds. */
int cf_delay_new(struct cf_backend *inner, const struct cf_delay_options *options,
		 struct cf_backend **backend_out, struct cf_err *err);

#endif
