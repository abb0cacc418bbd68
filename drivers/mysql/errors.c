#include "drivers/mysql/errors.h"

#include "base/err.h"

int cf_mysql_error_code(unsigned error)
{
	switch (error) {
	case 1044: /* database */
	case 1045: /* user or password */
	case 1142: /* table */
	case 1143: /* column */
	case 1227: /* global right */
	case 1347: /* not a view one may see */
	case 1370: /* routine */
	case 1698: /* no password, socket authentication */
		return CF_ERR_ACCESS;
	case 1049:
	case 1146:
	case 1305:
		return CF_ERR_NOT_FOUND;
	case 1007:
	case 1050:
	case 1304:
	case 1359:
		return CF_ERR_EXISTS;
	case 1205: /* lock wait timeout */
	case 1213: /* deadlock */
	case 1040: /* too many connections */
	case 1203: /* too many of this user */
		return CF_ERR_BUSY;
	case 1021:
	case 1114:
		return CF_ERR_FULL;
	case 2008:
		return CF_ERR_NOMEM;
	default:
		return CF_ERR_FAILED;
	}
}
