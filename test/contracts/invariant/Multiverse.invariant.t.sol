// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Strings } from "@openzeppelin/contracts/utils/Strings.sol";
import { ILedger } from "../utils/ILedger.sol";
import { MultiverseChecks } from "./MultiverseChecks.sol";
import { MultiverseHandler } from "./MultiverseHandler.sol";

/// @dev The runner calls only contracts of the test's own file.
contract LedgerHandler is MultiverseHandler {
    constructor(ILedger ledger_, uint8[] memory outcomes) MultiverseHandler(ledger_, outcomes) {}
}

/// @notice Whatever is called, in whatever order.
contract MultiverseInvariantTest is MultiverseChecks {
    function setUp() public override {
        super.setUp();
        uint8[] memory outcomes = new uint8[](3);
        (outcomes[0], outcomes[1], outcomes[2]) = (2, 4, 3);
        handler = new LedgerHandler(ledger, outcomes);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev Each token's balances are read after every other call, and all of them after each run: what is wrong stays wrong.
    function invariant_1_2_7_conservation() public {
        _check(abi.encodeCall(this.checkConservation, (handler.callCount() % 2)));
    }

    function invariant_3_4_5_6_9_10_11_books() public {
        _check(abi.encodeCall(this.checkBooks, (handler.callCount() % 2)));
        _check(abi.encodeCall(this.checkQuestions, ()));
        if (handler.callCount() % 10 == 0) _check(abi.encodeCall(this.checkPhantoms, (0)));
    }

    /// @notice 8, after each run.
    function afterInvariant() public {
        _check(abi.encodeCall(this.checkEnd, ()));
    }
}

/// @notice One long walk that is the same each time, so that every action is known to be taken often.
contract MultiverseWalkTest is MultiverseChecks {
    using Strings for uint256;

    uint256 private constant STEPS = 13000;
    uint256 private constant LEAST = 100;
    /// @dev Indices of the actions that are drawn more often than the rest: narrow, pushDown, pullUp, exit.
    bytes private constant OFTEN = hex"0101020202020303030707";

    function setUp() public override {
        super.setUp();
        uint8[] memory outcomes = new uint8[](4);
        (outcomes[0], outcomes[1], outcomes[2], outcomes[3]) = (3, 3, 2, 4);
        handler = new LedgerHandler(ledger, outcomes);
    }

    /// @notice 1 to 11.
    function test_walk_everyActionSucceedsOften() public {
        string[19] memory actions = [
            "ask",
            "narrow",
            "pushDown",
            "pullUp",
            "transfer",
            "expire",
            "roundTrip",
            "exit",
            "pullUpFor",
            "transferFrom",
            "operate",
            "multicall",
            "describe",
            "donate",
            "phantom",
            "overdraw",
            "resurrect",
            "tooLate",
            "hostile"
        ];
        for (uint256 step = 0; step < STEPS; ++step) {
            uint256 seed = uint256(keccak256(abi.encode(step)));
            uint256 dice = seed % (actions.length + OFTEN.length);
            string memory name = actions[dice < actions.length ? dice : uint8(OFTEN[dice - actions.length])];
            bytes memory data = abi.encodeWithSignature(string.concat(name, "(uint256)"), seed);
            _playable(address(handler), data, name);
            if (step % 40 == 0) _check(abi.encodeCall(this.checkAll, ()));
        }
        _check(abi.encodeCall(this.checkEnd, ()));

        string[11] memory kinds = [
            "ask again",
            "narrow step by step",
            "narrow to the same",
            "narrow to an answer",
            "pushDown, sorting last",
            "pushDown, sorting first or between",
            "pushDown to depth 3",
            "pullUp from depth 3",
            "pullUp of a winner",
            "exit through levels",
            "transfer to oneself"
        ];
        string memory seldom = "";
        for (uint256 i = 0; i < actions.length; ++i) seldom = string.concat(seldom, _ifSeldom(actions[i]));
        for (uint256 i = 0; i < kinds.length; ++i) seldom = string.concat(seldom, _ifSeldom(kinds[i]));
        vm.assertEq(seldom, "", "actions with too few successes");
    }

    function _ifSeldom(string memory name) private view returns (string memory) {
        uint256 count = handler.successes(name);
        return count >= LEAST ? "" : string.concat(name, ": ", count.toString(), "; ");
    }
}
