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

groups("true") -> [{supported_groups, [secp521r1, secp256r1]}];
groups("false") -> [].

%% In TLS 1.2 a session is offered by its ID, and given in person.
sessions("id", first) -> [{reuse_sessions, save}];
sessions("id", Session) -> [{reuse_session, Session}];
sessions("psk", _) -> [{session_tickets, auto}];
sessions("psk with early data", _) -> [{session_tickets, auto}, {early_data, <<"early\n">>}].

visit(0, _, _, _, _, _) ->
    ok;
visit(Left, Host, Port, Offer, Options, Session) ->
    {ok, Conn} = ssl:connect(Host, Port, Options ++ sessions(Offer, Session)),
    ok = ssl:send(Conn, "ping\n"),
    {ok, "ping\n"} = ssl:recv(Conn, 5),
    {ok, Info} = ssl:connection_information(Conn, [session_resumption, session_id, session_data]),
    {error, closed} = ssl:recv(Conn, 0),
    io:format("answered~nresumed ~p~n", [resumed(Offer, Info, Session)]),
    Next = {proplists:get_value(session_id, Info), proplists:get_value(session_data, Info)},
    visit(Left - 1, Host, Port, Offer, Options, Next).

%% In TLS 1.2 session_resumption is false in any case.
resumed("id", _, first) -> false;
resumed("id", Info, {ID, _}) -> ID =/= <<>> andalso proplists:get_value(session_id, Info) =:= ID;
resumed(_, Info, _) -> proplists:get_value(session_resumption, Info).
