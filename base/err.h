#ifndef CF_BASE_ERR_H
#define CF_BASE_ERR_H

/*
 * Errors: a negative code to branch on and one line of text to show.
 *
 * The caller owns a struct cf_err (start it with CF_ERR_INIT) and passes it down. Whoever detects a
 * problem calls cf_err_set(); a layer above may add what it alone knows with cf_err_wrap(). Every
 * function taking an err accepts NULL. A failing function returns the code, which is < 0.
 */

enum cf_err_code {
#define CF_ERR(name, number, status, text) name = -(number),
#include "base/err.def"
#undef CF_ERR
};

#define CF_ERR_TEXT_MAX 1024

struct cf_err {
	int code; /* 0 or one of enum cf_err_code */
	char text[CF_ERR_TEXT_MAX];
};

/* clang-format off */
#define CF_ERR_INIT { .code = 0, .text = "" }
/* clang-format on */

/* Set code and message; returns code, so that "return cf_err_set(...)" reads well. A control character
 * in the formatted text (a newline in a file name, say) is shown as '?': a message is always one line. */
int cf_err_set(struct cf_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a failed system call: maps errno_value to a code (ENOSPC and EDQUOT to CF_ERR_FULL, ENOENT
 * to CF_ERR_NOT_FOUND, EEXIST to CF_ERR_EXISTS, ENOMEM to CF_ERR_NOMEM, EACCES and EPERM to
 * CF_ERR_ACCESS, else CF_ERR_FAILED) and appends ": strerror". */
int cf_err_errno(struct cf_err *err, int errno_value, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "context: " before the message. Keeps the code. */
void cf_err_wrap(struct cf_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Forget the error, so that the struct may be used again. */
void cf_err_clear(struct cf_err *err);

/* Out of memory, the shortest way to say it. */
int cf_err_nomem(struct cf_err *err);

/* The process exit status and the one-line meaning of a code (0 gives 0 and "done"). */
int cf_err_exit_status(int code);
const char *cf_err_meaning(int code);

#endif
