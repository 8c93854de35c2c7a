#!/usr/bin/env escript
%% -*- erlang -*-

main([Host, Port, Version, Offer, Retry, CA, Cert, Key]) ->
    {ok, _} = application:ensure_all_started(ssl),
    Options = [
        {versions, [version(Version)]},
        {verify, verify_peer},
        {cacertfile, CA},
        {server_name_indication, "localhost"},
        {active, false}
    ] ++ certificate(Cert, Key) ++ groups(Retry),
    visit(3, Host, list_to_integer(Port), Offer, Options, first).

version("1.2") -> 'tlsv1.2';
version("1.3") -> 'tlsv1.3'.

certificate("-", _) -> [];
certificate(Cert, Key) -> [{certfile, Cert}, {keyfile, Key}].

groups("true") -> [{supported_groups, [x448, secp256r1]}];
groups("false") -> [].

%% In TLS 1.2 a session is kept when asked for and offered by its ID.
sessions("id", first) -> [{reuse_sessions, save}];
sessions("id", ID) -> [{reuse_session, ID}];
sessions("psk", _) -> [{session_tickets, auto}].

visit(0, _, _, _, _, _) ->
    ok;
visit(Left, Host, Port, Offer, Options, Session) ->
    {ok, Conn} = ssl:connect(Host, Port, Options ++ sessions(Offer, Session)),
    ok = ssl:send(Conn, "ping\n"),
    {ok, "ping\n"} = ssl:recv(Conn, 5),
    {ok, [{session_resumption, Resumed}]} = ssl:connection_information(Conn, [session_resumption]),
    {ok, [{session_id, ID}]} = ssl:connection_information(Conn, [session_id]),
    {error, closed} = ssl:recv(Conn, 0),
    io:format("answered~nresumed ~p~n", [Resumed]),
    visit(Left - 1, Host, Port, Offer, Options, ID).
