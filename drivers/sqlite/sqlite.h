#ifndef CF_DRIVERS_SQLITE_SQLITE_H
#define CF_DRIVERS_SQLITE_SQLITE_H

/*
 * sqlite:PATH stores one consistent state of a database that may be in use, as one file, byte for
 * byte as a database at rest in that state would be. Nothing of it is copied to disk, and nothing
 * at the source is changed but by SQLite's own recovery after a crash.
 */

#include "drivers/driver.h"

extern const struct cf_driver cf_sqlite_driver;

#endif
