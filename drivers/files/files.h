#ifndef CF_DRIVERS_FILES_FILES_H
#define CF_DRIVERS_FILES_FILES_H

/*
 * files:PATH, a folder with all that is in it, or one file.
 *
 * Attributes, extended attributes (ACLs among them), hard links by their device and inode, holes,
 * links, fifos, sockets and devices are kept. Symbolic links are saved, never followed, but in PATH
 * itself.
 *
 * Warnings: file.unreadable, file.vanished, file.changed (its content may be of no one moment),
 * file.xattr.
 */

#include "drivers/driver.h"

extern const struct cf_driver cf_files_driver;

#endif
