#ifndef CF_DRIVERS_STREAM_INPUT_H
#define CF_DRIVERS_STREAM_INPUT_H

/* Reading a descriptor that may be a pipe nobody writes to, while staying cancelable. */

#include <stdbool.h>
#include <stddef.h>

struct cf_ctx;
struct cf_err;

/* Up to len bytes into data; *len_out is 0 at the end of input. name is for messages. */
int cf_input_read(int fd, const char *name, void *data, size_t len, const struct cf_ctx *ctx,
		  size_t *len_out, struct cf_err *err);

/* True when standard input can be read: not closed, nor open for writing only, which is what the
 * program makes of a closed one. */
bool cf_input_stdin_is_open(void);

#endif
