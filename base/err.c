#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

__attribute__((format(printf, 3, 0))) static void
format_text(struct cf_err *err, int code, const char *fmt, va_list args)
{
	err->code = code;
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	make_one_line(err->text);
}

int cf_err_set(struct cf_err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	va_start(args, fmt);
	format_text(err, code, fmt, args);
	va_end(args);
	return code;
}

static int code_of_errno(int errno_value)
{
	switch (errno_value) {
	case ENOSPC:
	case EDQUOT:
		return CF_ERR_FULL;
	case ENOENT:
		return CF_ERR_NOT_FOUND;
	case EEXIST:
		return CF_ERR_EXISTS;
	case ENOMEM:
		return CF_ERR_NOMEM;
	case EACCES:
	case EPERM:
		return CF_ERR_ACCESS;
	default:
		return CF_ERR_FAILED;
	}
}

int cf_err_errno(struct cf_err *err, int errno_value, const char *fmt, ...)
{
	int code = code_of_errno(errno_value);
	va_list args;
	size_t len;

	if (!err)
		return code;
	va_start(args, fmt);
	format_text(err, code, fmt, args);
	va_end(args);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(errno_value));
	return code;
}

void cf_err_wrap(struct cf_err *err, const char *fmt, ...)
{
	char inner[CF_ERR_TEXT_MAX];
	va_list args;
	size_t len;

	if (!err)
		return;
	memcpy(inner, err->text, sizeof(inner));
	va_start(args, fmt);
	format_text(err, err->code, fmt, args);
	va_end(args);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", inner);
}

void cf_err_clear(struct cf_err *err)
{
	if (!err)
		return;
	err->code = 0;
	err->text[0] = '\0';
}

int cf_err_nomem(struct cf_err *err)
{
	return cf_err_set(err, CF_ERR_NOMEM, "out of memory");
}

int cf_err_exit_status(int code)
{
	switch (code) {
	case 0:
		return 0;
#define CF_ERR(name, number, status, text)                                                                 \
	case name:                                                                                         \
		return status;
#include "base/err.def"
#undef CF_ERR
	default:
		return 1;
	}
}

const char *cf_err_meaning(int code)
{
	switch (code) {
	case 0:
		return "done";
#define CF_ERR(name, number, status, text)                                                                 \
	case name:                                                                                         \
		return text;
#include "base/err.def"
#undef CF_ERR
	default:
		return "unknown error";
	}
}
