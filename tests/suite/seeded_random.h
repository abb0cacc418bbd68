#ifndef CF_TESTS_SUITE_SEEDED_RANDOM_H
#define CF_TESTS_SUITE_SEEDED_RANDOM_H

#include <stdint.h>

/*
 * From now on libsodium's random numbers come from a seed, COFFER_TEST_SEED or 1, which is returned: repositories get the same keys, and
 * so chunks the same borders, every time. For tests that hold sizes against each other. Call it while nothing
 * else draws, at the start of a test.
 */
uint64_t cf_seed_random(void);

#endif
