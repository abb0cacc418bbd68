#ifndef CF_CLI_VALUE_H
#define CF_CLI_VALUE_H

/* Values of options: text to numbers, and whether a value suits its option. */

#include "repo/writer.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_err;
struct cf_option_spec;

/* A whole decimal number. */
bool cf_value_count(const char *text, uint64_t *out);
/* Bytes: "4096", "64K", "1.5 MiB" is not allowed, "1MiB" and "1m" are. */
bool cf_value_size(const char *text, uint64_t *out);
/* "5", "5%", "0.5%": above 0, up to 100. Or bytes with a unit, "10G", above 0: then the other is 0. */
bool cf_value_share(const char *text, double *percent_out, uint64_t *bytes_out);
/* "90s", "30m", "1h30m": units d, h, m and s, each once and in this order; above 0, up to 366 days. */
bool cf_value_duration(const char *text, int64_t *ns_out);
/* The name of a method, and behind a colon the level of one that has levels; else level 0. */
bool cf_value_compression(const char *text, enum cf_compression *method_out, int *level_out);
/* Whether every '[' of a file name pattern has its ']' within the same part of a path; one that has
 * none would match nothing, silently. */
bool cf_value_pattern(const char *text);

/* CF_ERR_USAGE naming option and value when the value does not suit. name is how the user gave it:
 * "--threads", "COFFER_THREADS". */
int cf_value_check(const struct cf_option_spec *option, const char *name, const char *text,
		   struct cf_err *err);

#endif
