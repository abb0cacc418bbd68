#ifndef CF_DRIVERS_STREAM_STREAM_H
#define CF_DRIVERS_STREAM_STREAM_H

/*
 * stream:NAME stores standard input, or what a command writes to its standard output, as one file.
 *
 * A command counts only when it ends with exit status 0: a dump that broke in the middle must never
 * look like a backup. It is run without a shell, in a process group of its own, which is killed on
 * cancel.
 */

#include "drivers/driver.h"

extern const struct cf_driver cf_stream_driver;

#endif
