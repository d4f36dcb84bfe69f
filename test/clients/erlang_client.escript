#!/usr/bin/env escript
main([Host, Port, Login, Cipher, Key, Rekey]) ->
    logger:set_primary_config(level, none), % its reports go to standard output
    {ok, _} = application:ensure_all_started(ssh),
    io:setopts(standard_io, [binary, {encoding, latin1}]),
    Name = list_to_atom(Cipher),
    Known = lists:append([element(2, E) || {cipher, Es} <- ssh:default_algorithms(), E <- Es]),
    Cipher =:= "" orelse lists:member(Name, Known) orelse halt(77),

    Methods = [{preferred_algorithms, [{cipher, [Name]}]} || Cipher =/= ""],
    Limit = [{rekey_limit, {infinity, list_to_integer(Rekey)}} || Rekey =/= "0"],
    {ok, C} = ssh:connect(Host, list_to_integer(Port),
        [{silently_accept_hosts, true}, {save_accepted_host, false}, {user, "tester"}, {password, "secret"},
         {user_interaction, false}, {user_dir, filename:dirname(Key)},
         {auth_methods, case Login of "none" -> "password"; _ -> Login end}] ++ Methods ++ Limit, 20000),
    Channels = [begin
        {ok, Channel} = ssh_connection:session_channel(C, 20000),
        success = ssh_connection:exec(C, Channel, os:getenv("COMMAND", "cat"), 20000),
        Channel
    end || _ <- lists:seq(1, list_to_integer(os:getenv("CHANNELS", "1")))],
    case list_to_integer(os:getenv("PING", "0")) of
        0 -> ok;
        Trips ->
            {Took, ok} = timer:tc(fun() -> ping(C, hd(Channels), Trips) end),
            io:format("~b~n", [Took]),
            halt(0)
    end,
    Data = read([]),
    spawn_link(fun() ->
        [begin ok = ssh_connection:send(C, Each, Data, 30000), ok = ssh_connection:send_eof(C, Each) end || Each <- Channels]
    end),
    halt(loop(C, Channels, length(Channels), [], 1)).

read(Got) -> case file:read(standard_io, 65536) of {ok, More} -> read([Got, More]); eof -> iolist_to_binary(Got) end.

ping(_, _, 0) -> ok;
ping(C, Channel, Trips) -> ok = ssh_connection:send(C, Channel, binary:copy(<<"x">>, 64)), back(C, Channel, 64), ping(C, Channel, Trips - 1).

back(_, _, 0) -> ok;
back(C, Channel, Left) ->
    receive {ssh_cm, C, {data, Channel, _, Data}} ->
        ssh_connection:adjust_window(C, Channel, byte_size(Data)), back(C, Channel, Left - byte_size(Data))
    after 30000 -> halt(3) end.

loop(_, Channels, 0, Got, Status) ->        % what came on each, in turn
    [file:write(standard_io, [Data || {From, Data} <- lists:reverse(Got), From =:= Each]) || Each <- Channels],
    Status;
loop(C, Channels, Open, Got, Status) ->
    receive
        {ssh_cm, C, {data, Channel, _, Data}} ->
            ssh_connection:adjust_window(C, Channel, byte_size(Data)), loop(C, Channels, Open, [{Channel, Data} | Got], Status);
        {ssh_cm, C, {exit_status, _, New}} -> loop(C, Channels, Open, Got, New);
        {ssh_cm, C, {closed, _}} -> loop(C, Channels, Open - 1, Got, Status);
        {ssh_cm, C, _} -> loop(C, Channels, Open, Got, Status)
    after 30000 -> 3
    end.
