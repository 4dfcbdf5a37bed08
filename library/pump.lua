---@meta pump
-- What lua-language-server knows of pump. Add this folder to the libraries of your workspace.
-- Times are seconds, event numbers and positions are integers. An operation that fails returns nil
-- and an error; wrong arguments and closed connections raise.

---@class pump
---@field version string
---@field json pump.json
---@field null lightuserdata JSON's null; the same value as cjson.null
---@field loop pump.loop
---@field adapter { luv: pump.Adapter, cqueues: pump.Adapter } loaded when they are asked for
local pump = {}

---------------------------------------------------------------------------------------------------
-- Connecting

---@alias pump.Codec { encode: (fun(value: any): string), decode: (fun(text: string): any) }
---@class pump.LogFields
---@field endpoint string
---@field state string
---@field name? string the connection's, where it was given one
---@field address? string of the server that the line is about
---@field code? pump.ErrorCode what went wrong
---@field operation? string what was asked, "append"; of a frame its command, "WriteEvents"
---@field correlation? string the id of the frame, as servers' logs have it
---@field attempt? integer which one comes, or came to that
---@field delay? number seconds until it comes

---@alias pump.LogLevel "error"|"warning"|"info"|"debug"|"trace"

---@alias pump.Selector "leader"|"follower"|"random"|fun(members: pump.Member[]): pump.Member?

---@class pump.ConnectOptions
---@field host? string 127.0.0.1
---@field port? integer 1113
---@field username? string
---@field password? string
---@field name? string how the server knows the connection
---@field discovery_host? string a member of a cluster, or a name with the addresses of several
---@field discovery_port? integer where it speaks HTTP, 2113
---@field seeds? string[] "host:port" of members; host and port don't count then
---@field selector? pump.Selector which member to connect to, "leader"
---@field tls? boolean|pump.TlsOptions false; true for tcps://
---@field gossip_tls? boolean|pump.TlsOptions gossip by HTTPS or plain HTTP; as tls, where that goes
---@field timeout? number of an operation, 7
---@field connect_timeout? number until connected and identified, 5
---@field heartbeat? { interval: number?, timeout: number? }
---@field reconnect? boolean|pump.ReconnectOptions false: a connection that is lost stays so
---@field retries? integer how often a call may be asked again; as often as its timeout allows
---@field resolve? pump.Resolve maps addresses that servers name to others
---@field max_in_flight? integer requests that were sent and not answered, 2000; more wait
---@field require_leader? boolean
---@field log? fun(level: pump.LogLevel, message: string, fields: pump.LogFields)
---@field log_level? pump.LogLevel "debug" with log; "trace" shows every frame, without logins
---@field json? pump.Codec instead of pump.json, for bodies and event:json()

---@class pump.ReconnectOptions
---@field delay? number at most so long before the first attempt, twice as long before the next, 0.1
---@field max_delay? number and no longer than that, 5
---@field attempts? integer in a row; for ever

---@alias pump.Resolve fun(address: string): string?, integer?

---@class pump.TlsOptions
---@field ca? string file of the certificates to trust (PEM); the system's
---@field cert? string file of a certificate of your own, for servers that demand one
---@field key? string file of its key
---@field server_name? string the name to expect in the certificate; the host
---@field verify? boolean true; false takes any certificate, with a warning

---Connects. Without a URL and a host: to PUMP_URL, else to tcp://127.0.0.1:1113.
---@async
---@param url? string tcp://user:password@host:port, tcps://…, discover://…, memory:, file:PATH
---@param options? pump.ConnectOptions
---@return pump.Connection? conn
---@return pump.Error? err
---@overload fun(options: pump.ConnectOptions): pump.Connection?, pump.Error?
function pump.connect(url, options) end

---A connection that is not connected yet: call client:connect().
---@param url? string
---@param options? pump.ConnectOptions
---@return pump.Connection? client
---@return pump.Error? err
---@overload fun(options: pump.ConnectOptions): pump.Connection?, pump.Error?
function pump.client(url, options) end

---@class pump.Connection
---@field state "new"|"connecting"|"connected"|"reconnecting"|"closed"
---@field endpoint string
---@field server_version? string "5.0.8.0"; nil where nobody tells: TCP has no word for it
---@field protocol "tcp"
---@field on_connected pump.Signal fun(conn)
---@field on_disconnected pump.Signal fun(err)
---@field on_reconnecting pump.Signal fun(attempt, delay)
---@field on_closed pump.Signal fun(conn, err): err is nil where the program closed it
---@field on_event pump.Signal fun(event)
---@field on_log pump.Signal fun(level, message, fields)
local Connection = {}

---@async
---@return pump.Connection? self
---@return pump.Error? err
function Connection:connect() end

---How long the server takes to answer.
---@async
---@param options? pump.CallOptions
---@return number? seconds
---@return pump.Error? err
function Connection:ping(options) end

---Who is in the cluster, as the first seed that answers tells; without seeds the host's port 2113
---is asked. Needs no connection.
---@async
---@param options? { timeout: number? }
---@return pump.Member[]? members
---@return pump.Error? err
function Connection:members(options) end

---A node of a cluster, as gossip shows it. What it does not tell is nil.
---@class pump.Member
---@field state? string "Leader", "Follower", "Master", "Slave", …
---@field is_alive boolean
---@field is_leader boolean
---@field is_read_only_replica boolean
---@field host? string
---@field port? integer
---@field secure_port? integer for TLS
---@field http_host? string
---@field http_port? integer
---@field instance_id? string
---@field version? string
---@field last_commit_position integer
---@field writer_checkpoint integer
---@field chaser_checkpoint integer
---@field epoch_position integer
---@field epoch_number integer
---@field node_priority integer

---What was counted since the connection was made, or until it was closed.
---@return pump.Stats
---@nodiscard
function Connection:stats() end

---@class pump.Stats
---@field bytes_in integer before TLS
---@field bytes_out integer
---@field frames_in integer
---@field frames_out integer
---@field requests integer that were answered or failed
---@field failures integer among those
---@field retries integer how often one was asked again
---@field connections integer that were established
---@field reconnects integer among those: after one was lost
---@field in_flight integer now: asked and not answered
---@field waiting integer now: not asked yet
---@field latency pump.Latency

---Seconds from asking to answer. Quantiles may be a quarter too long, and are never too short.
---@class pump.Latency
---@field count integer
---@field sum number
---@field max number
---@field p50 number
---@field p90 number
---@field p99 number
---@field buckets { seconds: number, count: integer }[] how many took no longer

---Ends the connection. Every call that waits gets "closed". May be called again.
---@async
---@return true
function Connection:close() end

---@class pump.Signal
local Signal = {}

---@param fn function
---@return function fn
function Signal:append(fn) end

---@param fn function
---@return boolean was_there
function Signal:remove(fn) end

---What every request takes.
---@class pump.CallOptions
---@field timeout? number
---@field username? string
---@field password? string
---@field require_leader? boolean

---------------------------------------------------------------------------------------------------
-- Publishing

---@alias pump.Body table|string|number|boolean|lightuserdata
---@alias pump.Expected integer|"any"|"no_stream"|"stream_exists" -1 is "no_stream"

---@class pump.EventOptions
---@field id? string a UUID; else a random one
---@field metadata? table|string
---@field content_type? "json"|"binary" of a body that is a string, "binary"

---@class pump.WriteOptions: pump.CallOptions
---@field expected_version? pump.Expected "any"

---@class pump.PublishEventOptions: pump.WriteOptions, pump.EventOptions

---@class pump.PublishOptions: pump.WriteOptions
---@field batch_size? integer of a generator's events, 500 to 4,000 as the way to the server is long
---@field max_in_flight? integer batches of a generator's that are ready or under way, 4

---@class pump.NewEvent
---@field type string
---@field data? pump.Body
---@field id? string
---@field metadata? table|string
---@field content_type? "json"|"binary"

---@class pump.WriteResult
---@field count integer
---@field first_event_number? integer
---@field last_event_number? integer
---@field position pump.Position

---@class pump.Position
---@field commit integer
---@field prepare integer

---An event to write. A table, number, boolean or pump.null is stored as JSON, a string as it is.
---@param type string
---@param body? pump.Body
---@param options? pump.EventOptions
---@return pump.NewEvent
---@nodiscard
function pump.new_event(type, body, options) end

---A random UUID.
---@return string
---@nodiscard
function pump.uuid() end

---@async
---@param stream string
---@param type string
---@param body? pump.Body
---@param options? pump.PublishEventOptions
---@return pump.WriteResult? result
---@return pump.Error? err
function Connection:publish_event(stream, type, body, options) end

---Writes a list of events, all or none, or what a generator gives until it gives nil, in batches.
---@async
---@param stream string
---@param events (pump.NewEvent|pump.Event)[]|fun(): (pump.NewEvent|pump.Event)?
---@param options? pump.PublishOptions
---@return pump.WriteResult? result
---@return pump.Error? err
function Connection:publish(stream, events, options) end

---------------------------------------------------------------------------------------------------
-- Whole streams

---@class pump.DeleteOptions: pump.WriteOptions
---@field hard? boolean false; true takes the name too, for ever

---Its events are gone; who writes to it again goes on with its numbers (hard: nobody may).
---@async
---@param stream string
---@param options? pump.DeleteOptions
---@return { position: pump.Position }? result
---@return pump.Error? err
function Connection:delete(stream, options) end

---What a stream keeps and who may do what; {} and -1 where nobody said.
---@async
---@param stream string
---@param options? pump.CallOptions
---@return table? metadata
---@return integer|pump.Error version
---@return pump.Event? event that it stands in
function Connection:get_metadata(stream, options) end

---Replaces all of it.
---@async
---@param stream string
---@param metadata table|string as a string, JSON text
---@param options? pump.WriteOptions expected_version is the metadata's own
---@return pump.WriteResult? result
---@return pump.Error? err
function Connection:set_metadata(stream, metadata, options) end

---------------------------------------------------------------------------------------------------
-- Reading

---@alias pump.Direction "forward"|"backward"

---@class pump.GetEventOptions: pump.CallOptions
---@field resolve_links? boolean true

---@class pump.ReadOptions: pump.GetEventOptions
---@field direction? pump.Direction "forward"
---@field from_event? integer|"start"|"end" the start; backward the end

---@class pump.GetOptions: pump.ReadOptions
---@field max_count? integer 100

---@class pump.IterOptions: pump.ReadOptions
---@field batch_size? integer events a page, 500
---@field max_count? integer where to stop

---Which events of $all are wanted: exactly one of the fields. EventStore 20.6 and newer.
---@class pump.Filter
---@field stream_prefix? string|string[]
---@field stream_regex? string as .NET reads it
---@field type_prefix? string|string[]
---@field type_regex? string

---@class pump.ReadAllOptions: pump.GetEventOptions
---@field direction? pump.Direction "forward"
---@field from_position? pump.Position|"start"|"end" the start; backward the end
---@field filter? pump.Filter
---@field exclude_system? boolean leaves out what has a type with "$" in front

---@class pump.GetAllOptions: pump.ReadAllOptions
---@field max_count? integer 100

---@class pump.IterAllOptions: pump.ReadAllOptions
---@field batch_size? integer events a page, 500
---@field max_count? integer where to stop

---@class pump.Slice: { [integer]: pump.Event }
---@field next_event_number integer
---@field last_event_number integer
---@field is_end_of_stream boolean

---@class pump.AllSlice: { [integer]: pump.Event }
---@field position pump.Position
---@field next_position pump.Position
---@field is_end_of_stream boolean

---@async
---@param stream string
---@param number integer|"last"
---@param options? pump.GetEventOptions
---@return pump.Event? event
---@return pump.Error? err
function Connection:get_event(stream, number, options) end

---@async
---@param stream string
---@param options? pump.GetOptions
---@return pump.Slice? events
---@return pump.Error? err
function Connection:get(stream, options) end

---for event in conn:iter(stream) do … end; raises what goes wrong.
---@async
---@param stream string
---@param options? pump.IterOptions
---@return fun(): pump.Event?
---@nodiscard
function Connection:iter(stream, options) end

---@async
---@param options? pump.GetAllOptions
---@return pump.AllSlice? events
---@return pump.Error? err
function Connection:get_all(options) end

---@async
---@param options? pump.IterAllOptions
---@return fun(): pump.Event?
---@nodiscard
function Connection:iter_all(options) end

---@class pump.Event
---@field stream string
---@field type string
---@field id string
---@field event_number integer of the received event: the link's, where there is one
---@field data? string as it was written; nil where a link leads nowhere
---@field metadata? string
---@field is_json boolean
---@field created number seconds since 1970
---@field position? pump.Position of events that were read from $all
---@field link? pump.Event the link that led here
---@field received_event pump.Event the link, or the event itself
---@field resolved boolean false: the target of the link is gone
---@field retry_count integer how often a group has sent it before
local Event = {}

---The data as JSON means it.
---@return any? value
---@return pump.Error? err
function Event:json() end

---The metadata as JSON means it.
---@return any? value
---@return pump.Error? err
function Event:metadata_json() end

---------------------------------------------------------------------------------------------------
-- Subscriptions

---@class pump.SubscribeOptions: pump.CallOptions
---@field from_event? integer|"start"|"end" the first event wanted; without it only what comes
---@field from_position? pump.Position|"start"|"end" of $all: the last event not wanted
---@field resolve_links? boolean true
---@field batch_size? integer events a page of history at most, 500; twice as many may wait
---@field live_buffer_size? integer events that wait behind those, 1000
---@field filter? pump.Filter of $all
---@field exclude_system? boolean of $all: leaves out what has a type with "$" in front

---@class pump.StreamOptions: pump.SubscribeOptions, pump.IterOptions
---@field forever? boolean goes on with what comes

---History from where it is told to begin, and then what comes, each event once and in order; or,
---without a beginning, only what comes. "$all" is every stream.
---@async
---@param stream string
---@param options? pump.SubscribeOptions
---@return pump.Subscription? subscription
---@return pump.Error? err
---@nodiscard
function Connection:subscribe_to(stream, options) end

---for event in conn:stream(name, { forever = true }) do … end: iter that goes on live.
---@async
---@param stream string
---@param options? pump.StreamOptions
---@return fun(): pump.Event?
function Connection:stream(stream, options) end

---Calls fn for each event, one after the other; without fn what listens to conn.on_event.
---@async
---@param stream string
---@param fn? fun(event: pump.Event)
---@param options? pump.SubscribeOptions
---@return pump.Subscription? subscription
---@return pump.Error? err
---@overload fun(self, stream: string, options: pump.SubscribeOptions): pump.Subscription?, any
function Connection:watch(stream, fn, options) end

---@class pump.Subscription
---@field stream string
---@field state "catching_up"|"live"|"reconnecting"|"closed"
---@field position? integer|pump.Position of the event that was taken last
---@field on_live pump.Signal fun(subscription): history is over; again each time it was behind
---@field on_gap pump.Signal fun(err): a volatile one missed events
---@field on_checkpoint pump.Signal fun(position): with a filter: nothing wanted stands before it
---@field on_dropped pump.Signal fun(err): it is lost for good
local Subscription = {}

---for event in sub:events() do … end: ends when it is closed, raises when it is lost for good.
---@async
---@return fun(): pump.Event?
---@nodiscard
function Subscription:events() end

---The next event, or nil and an error: "timeout", "closed", or why it is lost.
---@async
---@param seconds? number
---@return pump.Event? event
---@return pump.Error? err
function Subscription:next(seconds) end

---Ends it at once. May be called again.
---@return true
function Subscription:close() end

---------------------------------------------------------------------------------------------------
-- Groups of consumers: persistent subscriptions

---@class pump.GroupOptions: pump.CallOptions
---@field resolve_links? boolean false
---@field from_event? integer|"start"|"end" the first event wanted, "end": those to come (default)
---@field message_timeout? number seconds until what is not answered comes again, 30; 0 never
---@field record_statistics? boolean false
---@field live_buffer_size? integer events just written that wait at the server, 500
---@field read_batch_size? integer events of history that it reads at once, 20
---@field buffer_size? integer events of history that wait there, 500
---@field max_retry_count? integer how often an event comes again before it is parked, 10
---@field checkpoint_after? number seconds after which the group's place is written down, 2
---@field checkpoint_max_count? integer events after which it is, 1000
---@field checkpoint_min_count? integer and not for fewer, 10
---@field subscriber_max_count? integer consumers at a time; 0: any number (default)
---@field from_position? pump.Position|"start"|"end" of $all (not over TCP), as the next two
---@field filter? pump.Filter
---@field exclude_system? boolean
---@field consumer_strategy? "RoundRobin"|"DispatchToSingle"|"Pinned"|string "RoundRobin"

---@class pump.ConsumeOptions: pump.CallOptions
---@field buffer_size? integer events that the server sends without an answer, 10
---@field auto_ack? boolean each event is acknowledged when the next one is asked for

---A group that keeps its place in a stream.
---@async
---@param group string
---@param stream string
---@param options? pump.GroupOptions
---@return true? created
---@return pump.Error? err
function Connection:create_subscription(group, stream, options) end

---All settings anew: what is not given has its default again.
---@async
---@param group string
---@param stream string
---@param options? pump.GroupOptions
---@return true? updated
---@return pump.Error? err
function Connection:update_subscription(group, stream, options) end

---@async
---@param group string
---@param stream string
---@param options? pump.CallOptions
---@return true? deleted
---@return pump.Error? err
function Connection:delete_subscription(group, stream, options) end

---A consumer of a group: a share of its events, each to be answered with ack or nack.
---@async
---@param group string
---@param stream string
---@param options? pump.ConsumeOptions
---@return pump.Consumer? consumer
---@return pump.Error? err
---@nodiscard
function Connection:connect_subscription(group, stream, options) end

---@class pump.Consumer: pump.Subscription
---@field group string
local Consumer = {}

---These events are done with.
---@param events pump.Event|pump.Event[]
---@return true? accepted
---@return pump.Error? err
function Consumer:ack(events) end

---These are not.
---@param events pump.Event|pump.Event[]
---@param action? "retry"|"park"|"skip"|"stop" "retry"
---@param why? string for who looks at events that were parked
---@return true? accepted
---@return pump.Error? err
function Consumer:nack(events, action, why) end

---------------------------------------------------------------------------------------------------
-- Errors

---@alias pump.ErrorCode
---| "timeout" | "cancelled" | "closed" | "connect_failed" | "discovery_failed"
---| "not_authenticated" | "access_denied" | "stream_not_found" | "stream_deleted"
---| "event_not_found" | "wrong_expected_version" | "invalid_transaction" | "bad_request"
---| "not_handled" | "not_ready" | "too_busy" | "not_leader" | "too_large"
---| "subscription_exists" | "subscription_not_found" | "subscription_failed"
---| "subscription_dropped" | "max_subscribers" | "slow_consumer" | "protocol_error"
---| "tls_error" | "json_error" | "not_supported" | "out_of_memory" | "invalid_argument"
---| "store_failed"

---@class pump.Error
---@field code pump.ErrorCode
---@field message string
---@field retryable boolean the same may succeed later
---@field stream? string
---@field event_number? integer|string
---@field expected? pump.Expected
---@field current? integer where the stream is, -1 for nowhere
---@field endpoint? string
---@field leader? string "host:port", with not_leader
---@field count? integer events that a generator's publish had written
---@field offset? integer where JSON is wrong, from 1
---@field traceback? string of the task, when pump.run raises it

---------------------------------------------------------------------------------------------------
-- Tasks

---Runs fn as a task, with all that it spawns, until the last of them has ended. Raises the first
---error that nobody handled. Without fn: waits for what was spawned outside of tasks.
---@async
---@param fn? function
---@param ... any
---@return any ... what fn returned
function pump.run(fn, ...) end

---Starts a task, which runs when its starter waits for the first time. If it fails while nobody
---joins it, the pump.run that it belongs to ends; pump.spawn(pcall, fn) keeps the error for a later
---join.
---@param fn function
---@param ... any
---@return pump.Task
function pump.spawn(fn, ...) end

---@async
---@param seconds number
function pump.sleep(seconds) end

---A generator like coroutine.wrap's, in which waits suspend the task that calls it.
---@param fn function
---@return function
---@nodiscard
function pump.wrap(fn) end

---@class pump.Task
---@field name string
---@field status "ready"|"running"|"waiting"|"done"|"failed"|"cancelled"
local Task = {}

---What the task returned, or nil and its error.
---@async
---@param timeout? number
---@return any ...
function Task:join(timeout) end

---Makes the task's wait, and every later one, raise an error with the code "cancelled".
---@param why? string
---@return boolean was_alive
function Task:cancel(why) end

---The counters of connections in Prometheus's text form. Each is labelled by its name, or by its
---place among the arguments.
---@param ... pump.Connection
---@return string
---@nodiscard
function pump.metrics(...) end

---What lets the loop of a host turn pump's; lua/pump/adapter.lua says what each function is for.
---@class pump.Adapter
---@field start fun()
---@field stop fun()
---@field can_wait fun(): boolean
---@field is_turning fun(): boolean
---@field wait fun(box: { done: any, resume: fun()? })
---@field changed fun()

---Lets the host of the adapter turn the loop: calls suspend a coroutine of its own. nil: no more.
---@param adapter? pump.Adapter
function pump.use(adapter) end

---For hosts with a loop of their own: wait until pollfd is readable or timeout is over, then step.
---@class pump.loop
local loop = {}

---@return integer
function loop:pollfd() end

---@return "r"
function loop:events() end

---@return number? seconds nil: no need to come back before pollfd is readable
function loop:timeout() end

---Whether anybody waits for what the loop brings.
---@return boolean
function loop:busy() end

---@param seconds? number how long it may wait
function loop:step(seconds) end

---------------------------------------------------------------------------------------------------
-- JSON

---@class pump.json
---@field null lightuserdata
---@field array_mt table the metatable of arrays
local json = {}

---@param value any
---@return string? text
---@return pump.Error? err
function json.encode(value) end

---@param text string
---@return any? value
---@return pump.Error? err
function json.decode(text) end

---Marks a table as an array: pump.array {} is [].
---@generic T: table
---@param table T
---@return T
function json.array(table) end

---@generic T: table
---@param table T
---@return T
function pump.array(table) end

---------------------------------------------------------------------------------------------------
-- The embedded node

---@class pump.NodeOptions
---@field file? string in memory without one
---@field listen? string 127.0.0.1:1113; port 0 takes any that is free
---@field http? string "HOST:PORT" for /gossip, /info and /ping; no HTTP without it
---@field faults? boolean lets admins set the faults over HTTP
---@field users? table<string, string> names and passwords, beside those that the store has
---@field like? "4.1"|"5.0"|"23.10" which server to answer as
---@field sync? "full"|"normal" normal: faster, and a power cut may take the last commits
---@field tls? pump.NodeTlsOptions for what comes over TCP and HTTP
---@field insecure_listen? boolean allows addresses that are not of this machine

---@class pump.NodeTlsOptions
---@field cert string file of the node's certificate (PEM)
---@field key string file of its key
---@field ca? string clients must show a certificate that one of this file vouches for

---A small EventStore in this process, which other programs can reach.
---@param options? pump.NodeOptions
---@return pump.Node? node
---@return pump.Error? err
function pump.node(options) end

---@class pump.Node
---@field address? string
---@field http_address? string
---@field faults pump.Faults a table that is assigned is as with set
local Node = {}

---Ends every connection to it and closes the store.
---@async
---@return true
function Node:close() end

---How the node misbehaves on purpose. A field that is set holds from then on.
---@class pump.Faults
---@field not_handled? "not_ready"|"too_busy"|"not_leader" what every request is answered
---@field leader? string "HOST:PORT", with not_leader
---@field delay? number seconds before every answer
---@field silent? boolean does what it is asked, and does not answer
---@field duplicate? boolean answers twice
---@field one_byte? boolean writes one byte at a time
---@field cut? integer ends the connection after so many bytes of an answer
---@field only? "reads"|"writes" whose answers it is about; else all
---@field chance? number how probable it is that an answer is one of them, from 0 to 1; else all are
---@field count? integer answers after which it is over; else it never is by itself
---@field refuse? boolean ends connections as they come in
---@field gossip? table|string what it says of its cluster
---@field duration? number seconds after which all of it is over
local Faults = {}

---These faults and no others.
---@param settings table
function Faults:set(settings) end

---No faults.
function Faults:clear() end

---Ends every connection that there is now.
function Faults:drop() end

return pump
