#include "tests/suite/seeded_random.h"

#include "base/le.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t seed, n_drawn;

static const char *name(void)
{
	return "seeded";
}

static void draw(void *buf, size_t size)
{
	unsigned char key[randombytes_SEEDBYTES] = {0};

	pthread_mutex_lock(&lock);
	cf_le64_put(key, seed);
	cf_le64_put(key + 8, n_drawn++);
	pthread_mutex_unlock(&lock);
	randombytes_buf_deterministic(buf, size, key);
}

static uint32_t draw_number(void)
{
	uint32_t number;

	draw(&number, sizeof(number));
	return number;
}

uint64_t cf_seed_random(void)
{
	static struct randombytes_implementation seeded = {.implementation_name = name, .random = draw_number, .buf = draw};
	const char *text = getenv("COFFER_TEST_SEED");

	seed = text ? strtoull(text, NULL, 10) : 1;
	n_drawn = 0;
	randombytes_set_implementation(&seeded);
	return seed;
}
