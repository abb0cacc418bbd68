#ifndef CF_DRIVERS_SQLITE_SOURCE_VFS_H
#define CF_DRIVERS_SQLITE_SOURCE_VFS_H

/*
 * The file layer through which SQLite reads the database that is backed up.
 *
 * It passes everything through to the system's own layer and does three things beside: it remembers
 * page 1 as it was last read, from the database or from its -wal (the backup interface alters it on
 * the way, and there is no other way to its bytes); it counts reads beyond the end of the file,
 * which SQLite takes for zeros; and it removes the -shm file on close when this connection made it
 * and nobody else uses it.
 */

#include <stdbool.h>
#include <sqlite3.h>
#include <stdint.h>

struct cf_source_vfs {
	sqlite3_vfs vfs; /* its name is what sqlite3_open_v2() wants */
	sqlite3_vfs *real;
	char name[48];
	uint8_t *page1;	    /* CF_SQLITE_PAGE_LEN_MAX bytes */
	uint32_t page1_len; /* 0: not read yet */
	uint64_t n_short_reads;
	bool remove_shm;
};

/* Memory of the caller, in place until release. SQLITE_OK or SQLite's code. */
int cf_source_vfs_init(struct cf_source_vfs *vfs);
void cf_source_vfs_release(struct cf_source_vfs *vfs);

#endif
