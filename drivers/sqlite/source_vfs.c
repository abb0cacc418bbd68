#include "drivers/sqlite/source_vfs.h"

#include "drivers/sqlite/header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAL_HEADER_LEN	 32
#define FRAME_HEADER_LEN 24

/* The real layer's file lies behind it in memory. */
struct source_file {
	sqlite3_file base;
	struct cf_source_vfs *owner;
	int kind; /* SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, or 0 */
};

static struct source_file *of(sqlite3_file *file)
{
	return (struct source_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return (sqlite3_file *)(of(file) + 1);
}

static struct cf_source_vfs *owner_of(sqlite3_vfs *vfs)
{
	return vfs->pAppData;
}

static bool is_page_len(int len)
{
	return len >= CF_SQLITE_PAGE_LEN_MIN && len <= CF_SQLITE_PAGE_LEN_MAX &&
	       (len & (len - 1)) == 0;
}

/* A read of a frame's page: is the frame's header, just before it, one of page 1? */
static bool is_page1_of_wal(sqlite3_file *real, int len, sqlite3_int64 off)
{
	uint8_t number[4];

	if (off < WAL_HEADER_LEN + FRAME_HEADER_LEN ||
	    (off - WAL_HEADER_LEN - FRAME_HEADER_LEN) % (FRAME_HEADER_LEN + len) != 0)
		return false;
	return real->pMethods->xRead(real, number, sizeof(number), off - FRAME_HEADER_LEN) ==
		       SQLITE_OK &&
	       cf_sqlite_be32(number) == 1;
}

static void look_at_read(sqlite3_file *file, const void *data, int len, sqlite3_int64 off, int rc)
{
	struct source_file *f = of(file);
	bool is_page1 = false;

	if (!f->kind || !is_page_len(len))
		return;
	if (f->kind == SQLITE_OPEN_MAIN_DB && rc == SQLITE_IOERR_SHORT_READ)
		f->owner->n_short_reads++;
	if (rc != SQLITE_OK)
		return;
	if (f->kind == SQLITE_OPEN_MAIN_DB)
		is_page1 = off == 0;
	else
		is_page1 = is_page1_of_wal(real_of(file), len, off);
	if (!is_page1)
		return;
	memcpy(f->owner->page1, data, (size_t)len);
	f->owner->page1_len = (uint32_t)len;
}

static int file_close(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xClose(real);
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 off)
{
	sqlite3_file *real = real_of(file);
	int rc = real->pMethods->xRead(real, data, len, off);

	look_at_read(file, data, len, off, rc);
	return rc;
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 off)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xWrite(real, data, len, off);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 len)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xTruncate(real, len);
}

static int file_sync(sqlite3_file *file, int flags)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xSync(real, flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *len)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xFileSize(real, len);
}

static int file_lock(sqlite3_file *file, int level)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xLock(real, level);
}

static int file_unlock(sqlite3_file *file, int level)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xUnlock(real, level);
}

static int file_check_reserved(sqlite3_file *file, int *out)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xCheckReservedLock(real, out);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xFileControl(real, op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xSectorSize(real);
}

static int file_characteristics(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xDeviceCharacteristics(real);
}

static int shm_map(sqlite3_file *file, int page, int len, int extend, void volatile **out)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xShmMap(real, page, len, extend, out);
}

static int shm_lock(sqlite3_file *file, int off, int n, int flags)
{
	sqlite3_file *real = real_of(file);

	return real->pMethods->xShmLock(real, off, n, flags);
}

static void shm_barrier(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);

	real->pMethods->xShmBarrier(real);
}

/*
 * Every user of a database in WAL mode holds a shared lock on it before it opens the -shm. Who gets
 * the exclusive lock is alone, as SQLite itself reasons when it deletes the file after a
 * checkpoint.
 */
static int shm_unmap(sqlite3_file *file, int remove_it)
{
	sqlite3_file *real = real_of(file);

	if (!remove_it && of(file)->owner->remove_shm &&
	    real->pMethods->xLock(real, SQLITE_LOCK_EXCLUSIVE) == SQLITE_OK)
		remove_it = 1;
	return real->pMethods->xShmUnmap(real, remove_it);
}

/* Version 2: without memory-mapped reads, which would pass by file_read(). */
static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
		    int *flags_out)
{
	struct cf_source_vfs *owner = owner_of(vfs);
	sqlite3_file *real = real_of(file);
	int rc;

	*of(file) = (struct source_file){
		.owner = owner,
		.kind = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL),
	};
	real->pMethods = NULL;
	rc = owner->real->xOpen(owner->real, name, real, flags, flags_out);
	if (real->pMethods)
		file->pMethods = &methods;
	return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xDelete(real, name, sync);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xAccess(real, name, flags, out);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xFullPathname(real, name, len, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xRandomness(real, len, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xSleep(real, us);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *out)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xCurrentTime(real, out);
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xGetLastError(real, len, out);
}

int cf_source_vfs_init(struct cf_source_vfs *vfs)
{
	memset(vfs, 0, sizeof(*vfs));
	vfs->real = sqlite3_vfs_find(NULL);
	if (!vfs->real)
		return SQLITE_ERROR;
	vfs->page1 = malloc(CF_SQLITE_PAGE_LEN_MAX);
	if (!vfs->page1)
		return SQLITE_NOMEM;
	/* Registered names are of the process: the address makes this one unique. */
	snprintf(vfs->name, sizeof(vfs->name), "coffer-source-%p", (void *)vfs);
	vfs->vfs = (sqlite3_vfs){
		.iVersion = 1,
		.szOsFile = (int)sizeof(struct source_file) + vfs->real->szOsFile,
		.mxPathname = vfs->real->mxPathname,
		.zName = vfs->name,
		.pAppData = vfs,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_pathname,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_current_time,
		.xGetLastError = vfs_last_error,
	};
	return sqlite3_vfs_register(&vfs->vfs, 0);
}

void cf_source_vfs_release(struct cf_source_vfs *vfs)
{
	if (vfs->vfs.zName)
		sqlite3_vfs_unregister(&vfs->vfs);
	vfs->vfs.zName = NULL;
	free(vfs->page1);
	vfs->page1 = NULL;
}
