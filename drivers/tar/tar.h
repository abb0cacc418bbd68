#ifndef CF_DRIVERS_TAR_TAR_H
#define CF_DRIVERS_TAR_TAR_H

/*
 * tar:PATH and tar:- unpack an archive into the snapshot's tree, so that members deduplicate.
 *
 * Every format and compression libarchive reads by itself, except those that read other files or
 * run programs. An archive is never trusted: a member with ".." in its path is skipped with a
 * warning.
 */

#include "drivers/driver.h"

extern const struct cf_driver cf_tar_driver;

#endif
