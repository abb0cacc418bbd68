#ifndef CF_DRIVERS_TAR_UNPACK_H
#define CF_DRIVERS_TAR_UNPACK_H

struct cf_ctx;
struct cf_err;
struct cf_sink;

/* Push the archive read from fd into sink, root and all. name is for messages. */
int cf_tar_unpack(int fd, const char *name, const struct cf_ctx *ctx, struct cf_sink *sink,
		  struct cf_err *err);

#endif
