#include "drivers/sqlite/sink_vfs.h"

#include "drivers/sqlite/pages.h"

#include <stdio.h>
#include <string.h>

struct sink_file {
	sqlite3_file base;
	struct cf_pages *pages;
	sqlite3_int64 len; /* what a real file would have grown to */
};

static struct sink_file *of(sqlite3_file *file)
{
	return (struct sink_file *)file;
}

static struct cf_sink_vfs *owner_of(sqlite3_vfs *vfs)
{
	return vfs->pAppData;
}

static int file_close(sqlite3_file *file)
{
	return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 off)
{
	memset(data, 0, (size_t)len);
	return of(file)->len <= off ? SQLITE_IOERR_SHORT_READ : SQLITE_IOERR_READ;
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 off)
{
	struct sink_file *f = of(file);
	sqlite3_int64 page_len = f->pages->page_len;

	if (len != page_len || off % page_len != 0)
		return SQLITE_IOERR_WRITE;
	if (cf_pages_put(f->pages, (uint32_t)(off / page_len) + 1, data) < 0)
		return SQLITE_IOERR_WRITE;
	if (f->len < off + len)
		f->len = off + len;
	return SQLITE_OK;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 len)
{
	of(file)->len = len;
	return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags)
{
	return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *len)
{
	*len = of(file)->len;
	return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level)
{
	return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *file, int *out)
{
	*out = 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
	return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *file)
{
	return 512;
}

static int file_characteristics(sqlite3_file *file)
{
	return 0;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_lock,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
		    int *flags_out)
{
	*of(file) = (struct sink_file){.pages = owner_of(vfs)->pages};
	if (!(flags & SQLITE_OPEN_MAIN_DB))
		return SQLITE_CANTOPEN;
	file->pMethods = &methods;
	if (flags_out)
		*flags_out = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	*out = 0;
	return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
	sqlite3_snprintf(len, out, "%s", name);
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xRandomness(real, len, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	return 0;
}

static int vfs_current_time(sqlite3_vfs *vfs, double *out)
{
	sqlite3_vfs *real = owner_of(vfs)->real;

	return real->xCurrentTime(real, out);
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
	return 0;
}

int cf_sink_vfs_init(struct cf_sink_vfs *vfs, struct cf_pages *pages)
{
	memset(vfs, 0, sizeof(*vfs));
	vfs->real = sqlite3_vfs_find(NULL);
	if (!vfs->real)
		return SQLITE_ERROR;
	vfs->pages = pages;
	snprintf(vfs->name, sizeof(vfs->name), "coffer-sink-%p", (void *)vfs);
	vfs->vfs = (sqlite3_vfs){
		.iVersion = 1,
		.szOsFile = sizeof(struct sink_file),
		.mxPathname = 64,
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

void cf_sink_vfs_release(struct cf_sink_vfs *vfs)
{
	if (vfs->vfs.zName)
		sqlite3_vfs_unregister(&vfs->vfs);
	vfs->vfs.zName = NULL;
}
