#ifndef CF_TESTS_SUITE_BACKEND_SUITE_H
#define CF_TESTS_SUITE_BACKEND_SUITE_H

/*
 * Every promise of backends/backend.h as tests. A backend is finished when it passes them.
 *
 * Needs cmocka; the backend_suite dependency of meson brings it.
 */

#include "backends/backend.h"

/* How to get at the store under test. Every function fails the test itself when it cannot. */
struct cf_backend_factory {
	const char *label; /* "local" */
	/* An empty store; the suite closes it. */
	struct cf_backend *(*fresh)(void *user);
	/* Close the store and open the same objects again. */
	struct cf_backend *(*reopen)(void *user, struct cf_backend *backend);
	/* After the last close: remove what fresh made. May be NULL. */
	void (*discard)(void *user);
	void *user;
};

/* Run all tests, each on a fresh store; gives how many failed. */
int cf_backend_suite_run(const struct cf_backend_factory *factory);

/* For backend_suite.c: the tests with several threads. state is a struct cf_backend_suite. */
struct cf_backend_suite {
	const struct cf_backend_factory *factory;
	struct cf_backend *backend;
};

void cf_backend_suite_one_put_of_a_name_wins(void **state);
void cf_backend_suite_everything_at_once(void **state);

#endif
