#ifndef CF_CLI_IDENTITY_H
#define CF_CLI_IDENTITY_H

/* Who runs the program, and where: what is recorded in the repository. */

#include <stddef.h>

struct cf_err;

/* The user's name, or number when it has none. */
void cf_identity_user(char *out, size_t size);
int cf_identity_host(char *out, size_t size, struct cf_err *err);

/* Both as they are stored, in UTF-8; free() them. */
int cf_identity_texts(char **host_out, char **user_out, struct cf_err *err);

#endif
