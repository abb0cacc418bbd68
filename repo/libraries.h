#ifndef CF_REPO_LIBRARIES_H
#define CF_REPO_LIBRARIES_H

#include "base/buf.h"

/* The libraries that repositories are written with, and their versions: "zstd 1.5.4, ...". */
int cf_libraries_append(struct cf_buf *out, struct cf_err *err);

#endif
