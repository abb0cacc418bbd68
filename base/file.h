#ifndef CF_BASE_FILE_H
#define CF_BASE_FILE_H

/* Whole files: reading with a limit, and replacing durably. Paths are relative to dir_fd (or AT_FDCWD). */

#include "base/buf.h"

struct cf_err;

/* All of a file into out (appended). A file longer than max_len is CF_ERR_FAILED. */
int cf_file_read(int dir_fd, const char *path, size_t max_len, struct cf_buf *out, struct cf_err *err);

/* Everything an open descriptor still gives, up to max_len. name is for messages. */
int cf_fd_read_all(int fd, const char *name, size_t max_len, struct cf_buf *out, struct cf_err *err);

/* All of data, retrying short writes and EINTR. */
int cf_fd_write_all(int fd, const char *name, struct cf_span data, struct cf_err *err);
int cf_fd_pwrite_all(int fd, const char *name, uint64_t off, struct cf_span data, struct cf_err *err);

/* Write a temporary file beside path, fsync it, rename it over path, fsync the folder. */
int cf_file_replace(int dir_fd, const char *path, struct cf_span data, unsigned mode, struct cf_err *err);

/* mkdir -p; an existing folder is fine, anything else in the way is an error. What is made is durable. */
int cf_dir_make(const char *path, unsigned mode, struct cf_err *err);

/* rm -rf of a file or folder: follows no links, also not those that somebody puts there meanwhile. What is gone already is fine. */
int cf_path_remove(int dir_fd, const char *name, struct cf_err *err);

#endif
