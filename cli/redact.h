#ifndef CF_CLI_REDACT_H
#define CF_CLI_REDACT_H

/*
 * Passwords kept out of what is printed. Drivers refuse a source or target that holds one; this is
 * for what is said about it, and for whatever cannot be parsed.
 */

/* A copy to free(), with "***" for the password of "scheme://user:password@host" and for what
 * follows "password=" up to a blank, '&' or quote, anywhere in the text. NULL: no memory. */
char *cf_redact(const char *text);

#endif
