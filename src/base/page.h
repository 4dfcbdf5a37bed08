/* How a page is made: one allocation that holds the page, its events and their records, and one
 * reference to the block that the records point into. */
#ifndef PUMP_BASE_PAGE_H
#define PUMP_BASE_PAGE_H

#include <pump.h>
#include "base/block.h"

/* A page with room for so many events and records, and one reference, the caller's. The room is not
 * cleared: most of a page's cost would be writing it twice. Takes a reference of its own on block
 * (NULL: nothing to keep). NULL when there is no memory. */
pump_page *pump_page_new(pump_block *block, size_t events, size_t records);
/* A page of one event that is a copy and keeps nothing else. NULL when there is no memory. */
pump_page *pump_page_of_one(const pump_event *event);
/* The room, to be filled in before anybody else sees the page. */
pump_event *pump_page_events(pump_page *page);
pump_record *pump_page_records(pump_page *page);

#endif
