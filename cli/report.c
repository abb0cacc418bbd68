#include "cli/report.h"

#include "base/err.h"
#include "cli/escape.h"
#include "cli/doc.h"
#include "cli/progress.h"
#include "cli/redact.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S	 1000000000
#define DRAW_INTERVAL_NS (NS_PER_S / 5)
#define JSON_INTERVAL_NS NS_PER_S
#define COLUMNS_DEFAULT	 80

struct cf_report {
	struct cf_report_options options;
	struct cf_reporter reporter;
	pthread_mutex_t lock;
	struct cf_progress_state state;
	int64_t drawn_ns; /* when progress was shown last, or began; 0: not yet */
	bool drawn;	  /* the line is on the screen */
};

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static size_t window_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return COLUMNS_DEFAULT;
	return size.ws_col;
}

static void erase_line(struct cf_report *report)
{
	if (report->drawn)
		fputs("\r\033[K", stderr);
	report->drawn = false;
}

static void draw_line(struct cf_report *report, const struct cf_progress *figures, int64_t now_ns)
{
	struct cf_buf line = CF_BUF_INIT;

	/* The last column stays free: some terminals wrap as soon as it is written. */
	if (cf_progress_format(&report->state, figures, now_ns, window_columns() - 1, &line,
			       NULL) == 0) {
		fprintf(stderr, "\r%.*s\033[K", (int)line.len, (const char *)line.data);
		fflush(stderr);
		report->drawn = true;
	}
	cf_buf_release(&line);
}

static void print_json(struct cf_doc *document)
{
	/* An event that memory does not suffice for is lost; the command's own result is not. */
	if (cf_doc_print(document, stdout, NULL) == 0)
		fflush(stdout);
}

static void print_json_progress(const struct cf_event *event)
{
	struct cf_doc document = cf_doc_begin();
	const struct cf_progress *figures = event->progress;

	cf_doc_text(&document, "event", "progress");
	cf_doc_text(&document, "name", event->name);
	cf_doc_count(&document, "bytes_done", figures->bytes_done);
	cf_doc_count(&document, "bytes_total", figures->bytes_total);
	cf_doc_count(&document, "items_done", figures->items_done);
	cf_doc_count(&document, "items_total", figures->items_total);
	cf_doc_count(&document, "bytes_stored", figures->bytes_stored);
	print_json(&document);
}

static void on_progress(struct cf_report *report, const struct cf_event *event)
{
	int64_t now_ns = monotonic_ns();
	int64_t interval = report->options.json_events ? JSON_INTERVAL_NS : DRAW_INTERVAL_NS;

	if (!report->options.json_events && !report->options.progress)
		return;
	cf_progress_update(&report->state, event->progress, now_ns);
	/* What ends at once shows no progress. */
	if (report->drawn_ns == 0)
		report->drawn_ns = now_ns;
	if (now_ns - report->drawn_ns < interval)
		return;
	report->drawn_ns = now_ns;
	if (report->options.json_events)
		print_json_progress(event);
	else
		draw_line(report, event->progress, now_ns);
}

static void print_text_event(struct cf_report *report, const char *what,
			     const struct cf_event *event)
{
	erase_line(report);
	fprintf(stderr, "coffer: %s", what);
	/* Most texts name the object themselves. */
	if (event->object && !(event->text && strstr(event->text, event->object))) {
		cf_escape_print(stderr, event->object, CF_ESCAPE_MESSAGE);
		fputs(": ", stderr);
	}
	cf_escape_print(stderr, event->text ? event->text : event->name, CF_ESCAPE_MESSAGE);
	fputc('\n', stderr);
}

static void on_warning(struct cf_report *report, const struct cf_event *event)
{
	struct cf_doc document;

	if (!report->options.json_events) {
		print_text_event(report, "warning: ", event);
		return;
	}
	document = cf_doc_begin();
	cf_doc_text(&document, "event", "warning");
	cf_doc_text(&document, "name", event->name);
	cf_doc_text(&document, "object", event->object);
	cf_doc_text(&document, "text", event->text);
	print_json(&document);
}

static void on_event(void *user, const struct cf_event *event)
{
	struct cf_report *report = user;

	pthread_mutex_lock(&report->lock);
	if (event->kind == CF_EVENT_PROGRESS)
		on_progress(report, event);
	else if (event->kind == CF_EVENT_WARNING)
		on_warning(report, event);
	else if (event->kind == CF_EVENT_WAITING || report->options.notes)
		print_text_event(report, "", event);
	pthread_mutex_unlock(&report->lock);
}

int cf_report_new(const struct cf_report_options *options, struct cf_report **report_out,
		  struct cf_err *err)
{
	struct cf_report *report = calloc(1, sizeof(*report));

	if (!report)
		return cf_err_nomem(err);
	report->options = *options;
	report->options.progress = options->progress && isatty(STDERR_FILENO);
	report->reporter = (struct cf_reporter){.event = on_event, .user = report};
	pthread_mutex_init(&report->lock, NULL);
	*report_out = report;
	return 0;
}

void cf_report_free(struct cf_report *report)
{
	if (!report)
		return;
	erase_line(report);
	pthread_mutex_destroy(&report->lock);
	free(report);
}

const struct cf_reporter *cf_report_reporter(const struct cf_report *report)
{
	return &report->reporter;
}

void cf_report_pause(struct cf_report *report)
{
	pthread_mutex_lock(&report->lock);
	erase_line(report);
	report->state = (struct cf_progress_state){0};
	report->drawn_ns = 0;
	pthread_mutex_unlock(&report->lock);
}

void cf_report_complain(struct cf_report *report, const char *text)
{
	char *shown = cf_redact(text);

	if (report) {
		pthread_mutex_lock(&report->lock);
		erase_line(report);
	}
	fputs("coffer: ", stderr);
	cf_escape_print(stderr, shown ? shown : "out of memory", CF_ESCAPE_MESSAGE);
	fputc('\n', stderr);
	if (report)
		pthread_mutex_unlock(&report->lock);
	free(shown);
}
