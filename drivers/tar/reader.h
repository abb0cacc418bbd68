#ifndef CF_DRIVERS_TAR_READER_H
#define CF_DRIVERS_TAR_READER_H

/* libarchive over a descriptor: its set-up, its input, its errors. */

#include "base/buf.h"

#include <stdbool.h>

struct archive;
struct archive_entry;
struct cf_ctx;
struct cf_err;
struct cf_tar_reader;

/* name is for messages and borrowed; fd stays the caller's and is read from where it stands. */
int cf_tar_reader_new(int fd, const char *name, const struct cf_ctx *ctx,
		      struct cf_tar_reader **reader_out, struct cf_err *err);
void cf_tar_reader_free(struct cf_tar_reader *reader);

/* 1 and the next member, borrowed until the next call; 0 at the end; or an error. */
int cf_tar_reader_next(struct cf_tar_reader *reader, struct archive_entry **entry_out,
		       struct cf_err *err);

/* 1 and a piece of the member's content with its place in it; 0 at the end of the member; or an
 * error. */
int cf_tar_reader_data(struct cf_tar_reader *reader, struct cf_span *data_out, uint64_t *off_out,
		       struct cf_err *err);

/* Pass over the content that is left. */
int cf_tar_reader_skip(struct cf_tar_reader *reader, struct cf_err *err);

/* Read the input to its end, so that who writes it is not cut off. */
int cf_tar_reader_drain(struct cf_tar_reader *reader, struct cf_err *err);

/* After at least one member: "GNU tar format"; "zstd", "none", or several, innermost first, joined by '+'. */
const char *cf_tar_reader_format(const struct cf_tar_reader *reader);
int cf_tar_reader_filter(const struct cf_tar_reader *reader, struct cf_buf *out,
			 struct cf_err *err);
bool cf_tar_reader_is_tar(const struct cf_tar_reader *reader);

#endif
