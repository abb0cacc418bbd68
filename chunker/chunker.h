#ifndef CF_CHUNKER_CHUNKER_H
#define CF_CHUNKER_CHUNKER_H

/*
 * Where to cut a stream into chunks, and what a chunk looks like.
 *
 * A cut is a pure function of the bytes since the previous cut and of the keyed parameters: how the
 * input was buffered cannot matter. No allocation, no I/O, no state between calls; everything is
 * const after init and may be used by any number of threads.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cf_chunker_kind {
	CF_CHUNKER_FIXED = 1,
	CF_CHUNKER_VG16 = 2, /* vg16.c: gear hash over two 8-bit windows 16 bytes apart */
	CF_CHUNKER_PRF16 = 3 /* prf16.c: AES-128 of the last 16 bytes */
};

/* 256 keyed values. G[b] never has ((-G[b]) >> 8 & 255) == 0, so runs of equal bytes never cut. */
struct cf_gear {
	uint64_t value[256];
};

/* How many random words cf_gear_init() may need; it draws again for values it must refuse. */
#define CF_GEAR_DRAWS 512

/* Take the table from random words drawn from a key, in order, skipping those the rule above
 * refuses. Returns false when they run out (probability below 2^-1000 for random input). */
bool cf_gear_init(struct cf_gear *gear, const uint64_t draws[CF_GEAR_DRAWS]);

/* Encrypt n_blocks 16-byte blocks with the chunker's AES-128 key, each on its own (ECB). out may
 * equal in. */
typedef void cf_prf16_fn(void *user, const uint8_t *in, uint8_t *out, size_t n_blocks);

struct cf_chunker {
	enum cf_chunker_kind kind;
	/* Bytes, min <= nominal <= max. min >= 64, but for fixed, where all are the block size. */
	uint32_t min, nominal, max;
	const struct cf_gear *gear; /* vg16 */
	cf_prf16_fn *prf;           /* prf16 */
	void *prf_user;             /* prf16; must be usable by several threads at once */
};

/*
 * The length of the first chunk of data, which starts at a cut. Without `end`, len must be at least
 * chunker->max, so that the answer is known; with `end` the data is all that is left, and may be
 * one chunk whole (returns len). 1 <= result <= chunker->max; len 0 gives 0.
 */
size_t cf_chunker_cut(const struct cf_chunker *chunker, const uint8_t *data, size_t len, bool end);

/*
 * A sketch: super-features that two chunks share when most of their content is the same. Sampling
 * follows content (as in Odess, Zou et al., ICDE 2021): gear positions with w(i) == 0, one of 256,
 * are ranked by linear transforms; each super-feature hashes three maxima. Chunks with too few
 * samples give all zeros: no sketch. A value of 0 never matches.
 */
#define CF_SKETCH_FEATURES 4

struct cf_sketch {
	uint32_t super[CF_SKETCH_FEATURES];
};

void cf_sketch_compute(const struct cf_gear *gear, const uint8_t *data, size_t len,
		       struct cf_sketch *sketch_out);

/* How many super-features two sketches share: 0 .. CF_SKETCH_FEATURES. */
unsigned cf_sketch_likeness(const struct cf_sketch *a, const struct cf_sketch *b);

#endif
