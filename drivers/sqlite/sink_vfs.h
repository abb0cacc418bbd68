#ifndef CF_DRIVERS_SQLITE_SINK_VFS_H
#define CF_DRIVERS_SQLITE_SINK_VFS_H

/*
 * The file layer through which SQLite's backup interface writes its destination, which is no file:
 * pages go to cf_pages and from there to a sink. Nothing can be read back; a pager that starts from
 * an empty file and keeps no journal does not try.
 */

#include <sqlite3.h>

struct cf_pages;

struct cf_sink_vfs {
	sqlite3_vfs vfs;
	sqlite3_vfs *real; /* for the clock and random numbers */
	char name[48];
	struct cf_pages *pages;
};

/* Memory of the caller, in place until release. SQLITE_OK or SQLite's code. */
int cf_sink_vfs_init(struct cf_sink_vfs *vfs, struct cf_pages *pages);
void cf_sink_vfs_release(struct cf_sink_vfs *vfs);

#endif
