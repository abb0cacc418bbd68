#ifndef CF_DRIVERS_FILES_CONTENT_H
#define CF_DRIVERS_FILES_CONTENT_H

/* Reads one open file into a sink: to its end, holes as holes. */

#include "base/ctx.h"
#include "base/stream.h"

#include <sys/stat.h>

#define CF_FILES_READ_LEN (1U << 20)

struct cf_files_content {
	uint64_t n_bytes; /* pushed, holes too */
	int read_errno;   /* not 0: reading failed with it and n_bytes is not all */
};

/* st is an fstat of fd; buffer has CF_FILES_READ_LEN bytes. An error is the sink's, or
 * CF_ERR_CANCELED; what goes wrong in reading is in result_out, with 0 returned. */
int cf_files_content_push(const struct cf_ctx *ctx, int fd, const struct stat *st, uint8_t *buffer,
			  struct cf_sink *sink, struct cf_file *file,
			  struct cf_files_content *result_out, struct cf_err *err);

#endif
