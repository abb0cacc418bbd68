/*
 * Speed of cutting and sketching on one core, against memcpy and a plain gear64 FastCDC.
 *
 *     bench_chunker [megabytes [runs]]
 *
 * GB/s are 1e9 bytes of input a second, best of the runs; the mean is of the chunk lengths.
 */

#include "chunker/chunker.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIN_LEN	    (16u << 10)
#define NOMINAL_LEN (64u << 10)
#define MAX_LEN	    (256u << 10)

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void fill_random(uint8_t *data, size_t len)
{
	uint64_t state = 1;

	for (size_t i = 0; i + 8 <= len; i += 8) {
		const uint64_t v = next_random(&state);

		memcpy(data + i, &v, 8);
	}
}

/* Rows as COPY writes them. */
static void fill_rows(uint8_t *data, size_t len)
{
	static const char *const words[] = {"amber", "basil", "cedar", "delta", "ember", "fjord",
					    "grove", "heath", "inlet", "juniper", "kelp", "larch"};
	uint64_t state = 2;
	size_t at = 0;

	for (uint64_t id = 1; at < len; id++) {
		const uint64_t key = next_random(&state), amount = next_random(&state) % 100000;
		char row[256];
		int n = snprintf(row, sizeof(row), "%" PRIu64 "\t%016" PRIx64 "\t%" PRIu64, id, key,
				 amount);

		for (int k = 0; k < 16; k++)
			n += snprintf(row + n, sizeof(row) - (size_t)n, "%c%s", k ? ' ' : '\t',
				      words[next_random(&state) % 12]);
		row[n++] = '\n';

		const size_t take = len - at < (size_t)n ? len - at : (size_t)n;

		memcpy(data + at, row, take);
		at += take;
	}
}

static size_t fastcdc_scan(const uint64_t *value, const uint8_t *data, size_t from, size_t to,
			   uint64_t below, uint64_t *hash)
{
	uint64_t h = *hash;

#pragma GCC unroll 8
	for (; from < to; from++) {
		h = 2 * h + value[data[from]];
		if (h < below)
			break;
	}
	*hash = h;
	return from;
}

/* The baseline: FastCDC's rule on the 64-bit gear hash, same limits and probabilities. */
static size_t fastcdc_cut(const struct cf_chunker *c, const uint8_t *data, size_t len)
{
	uint64_t h = 0;

	if (len > c->max)
		len = c->max;
	if (len <= c->min)
		return len;

	const size_t middle = len < c->nominal ? len : c->nominal;

	fastcdc_scan(c->gear->value, data, c->min - 64, c->min - 1, 0, &h);

	size_t at = fastcdc_scan(c->gear->value, data, c->min - 1, middle - 1,
				 (UINT64_C(1) << 62) / c->nominal, &h);

	if (at == middle - 1)
		at = fastcdc_scan(c->gear->value, data, middle - 1, len - 1,
				  (UINT64_C(1) << 63) / (c->nominal / 8), &h);
	return at + 1;
}

static void encrypt_blocks(void *user, const uint8_t *in, uint8_t *out, size_t n_blocks)
{
	int n;

	if (EVP_EncryptUpdate((EVP_CIPHER_CTX *)user, out, &n, in, (int)(16 * n_blocks)) != 1)
		abort();
}

struct bench {
	struct cf_gear gear;
	struct cf_chunker vg16, prf16;
	const uint8_t *data;
	uint8_t *copy;
	size_t len;
};

/* Each pass goes over all the data and gives the number of chunks. */
typedef size_t pass_fn(const struct bench *b);

static size_t pass_memcpy(const struct bench *b)
{
	memcpy(b->copy, b->data, b->len);
	return 1;
}

static size_t pass_fastcdc(const struct bench *b)
{
	size_t n = 0;

	for (size_t at = 0; at < b->len; n++)
		at += fastcdc_cut(&b->vg16, b->data + at, b->len - at);
	return n;
}

static size_t cut_all(const struct bench *b, const struct cf_chunker *chunker)
{
	size_t n = 0;

	for (size_t at = 0; at < b->len; n++)
		at += cf_chunker_cut(chunker, b->data + at, b->len - at, true);
	return n;
}

static size_t pass_vg16(const struct bench *b)
{
	return cut_all(b, &b->vg16);
}

static size_t pass_prf16(const struct bench *b)
{
	return cut_all(b, &b->prf16);
}

static size_t pass_sketch(const struct bench *b)
{
	size_t n = 0;

	for (size_t at = 0; at < b->len; at += NOMINAL_LEN, n++) {
		struct cf_sketch sketch;
		const size_t len = b->len - at < NOMINAL_LEN ? b->len - at : NOMINAL_LEN;

		cf_sketch_compute(&b->gear, b->data + at, len, &sketch);
	}
	return n;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const struct {
	const char *name;
	pass_fn *pass;
} passes[] = {
	{"memcpy", pass_memcpy},      {"gear64 FastCDC", pass_fastcdc}, {"vg16", pass_vg16},
	{"prf16, min M/2", pass_prf16}, {"sketch of 64 KiB", pass_sketch},
};

#define N_PASSES (sizeof(passes) / sizeof(passes[0]))

/* Runs take turns over the passes, so that a slow moment of the machine meets all of them. */
static void measure(const struct bench *b, const char *what, unsigned n_runs)
{
	double best[N_PASSES];
	size_t n_chunks[N_PASSES];

	for (unsigned run = 0; run < n_runs; run++) {
		for (size_t i = 0; i < N_PASSES; i++) {
			const double start = now();

			n_chunks[i] = passes[i].pass(b);

			const double took = now() - start;

			if (run == 0 || took < best[i])
				best[i] = took;
		}
	}
	for (size_t i = 0; i < N_PASSES; i++)
		printf("%-6s  %-16s  %6.2f GB/s  %5.2f x gear64  mean %zu\n", what, passes[i].name,
		       1e-9 * (double)b->len / best[i], best[1] / best[i], b->len / n_chunks[i]);
}

int main(int argc, char **argv)
{
	const size_t len = (argc > 1 ? strtoul(argv[1], NULL, 10) : 256) << 20;
	const unsigned n_runs = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 7;
	EVP_CIPHER_CTX *aes = EVP_CIPHER_CTX_new();
	uint8_t *data = malloc(len + 1), *copy = malloc(len + 1);
	uint64_t draws[CF_GEAR_DRAWS], state = 3;
	struct bench b = {.data = data, .copy = copy, .len = len};
	static const uint8_t key[17] = "a key of 16 byte";
	int status = EXIT_FAILURE;

	if (!len || !n_runs || !aes || !data || !copy ||
	    EVP_EncryptInit_ex(aes, EVP_aes_128_ecb(), NULL, key, NULL) != 1)
		goto out;
	for (size_t i = 0; i < CF_GEAR_DRAWS; i++)
		draws[i] = next_random(&state);
	if (!cf_gear_init(&b.gear, draws))
		goto out;
	b.vg16 = (struct cf_chunker){.kind = CF_CHUNKER_VG16,
				     .min = MIN_LEN,
				     .nominal = NOMINAL_LEN,
				     .max = MAX_LEN,
				     .gear = &b.gear};
	b.prf16 = (struct cf_chunker){.kind = CF_CHUNKER_PRF16,
				      .min = NOMINAL_LEN / 2,
				      .nominal = NOMINAL_LEN,
				      .max = MAX_LEN,
				      .prf = encrypt_blocks,
				      .prf_user = aes};
	memset(copy, 1, len);
	fill_random(data, len);
	measure(&b, "random", n_runs);
	fill_rows(data, len);
	measure(&b, "rows", n_runs);
	status = EXIT_SUCCESS;
out:
	EVP_CIPHER_CTX_free(aes);
	free(data);
	free(copy);
	return status;
}
