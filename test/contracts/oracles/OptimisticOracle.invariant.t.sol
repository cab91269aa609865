// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { IOptimisticOracle } from "../../../contracts/interfaces/IOptimisticOracle.sol";
import { TestToken } from "../../../contracts/mocks/TestToken.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { QuestionKey } from "../../../contracts/types/QuestionKey.sol";
import { OracleVm } from "./utils/OracleBase.sol";

/// @notice Plays two games in one token at random, and keeps its own books about them.
contract OptimisticHandler {
    OracleVm private constant vm = OracleVm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint64 public constant START = 1_900_000_000;
    uint32 public constant LIVENESS = 1 hours;
    uint32 private constant WINDOW = 2 hours;
    uint8 private constant OUTCOMES = 3;
    uint128 private constant MIN = 7;

    IMultiverse public ledger;
    IOptimisticOracle public game;
    TestToken public token = new TestToken("Bond", "BOND", 0);
    bytes public terms;
    QuestionKey[2] public keys;
    QuestionId[2] public questions;

    uint256 public time = START;
    uint256[2] public putIn;
    uint256[2] public paidOut;
    bool[2] public isFinal;
    uint8[2] public verdict;
    bool[2] public isSettled;
    address[3] private _players = [address(0xa), address(0xb), address(0xc)];

    constructor() {
        ledger = IMultiverse(_create(vm.getCode("contracts/Multiverse.sol:Multiverse")));
        game = IOptimisticOracle(_create(bytes.concat(vm.getCode("OptimisticOracle"), abi.encode(ledger))));
        vm.warp(START);
        terms = abi.encode(
            IOptimisticOracle.Terms({
                bondToken: address(token),
                minimumBond: MIN,
                opens: START,
                liveness: LIVENESS,
                arbitrator: address(this),
                arbitrationWindow: WINDOW
            })
        );
        for (uint256 i = 0; i < 2; ++i) {
            keys[i] = QuestionKey(OUTCOMES, uint64(START + (18 + 6 * i) * 1 hours), 0);
            questions[i] = ledger.ask(address(game), OUTCOMES, keys[i].deadline, 0, keccak256(terms), "");
        }
        for (uint256 i = 0; i < 3; ++i) {
            token.mint(_players[i], 1e60);
            vm.prank(_players[i]);
            token.approve(address(game), type(uint256).max);
        }
    }

    function _create(bytes memory code) private returns (address deployed) {
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        vm.assertTrue(deployed != address(0), "deployed");
    }

    /// @notice Time goes on, and what has become final is noted.
    modifier now_() {
        vm.warp(time);
        _;
        note();
    }

    function note() public {
        for (uint256 i = 0; i < 2; ++i) if (!isFinal[i]) (isFinal[i], verdict[i]) = game.verdict(questions[i]);
    }

    function wait(uint256 duration) external {
        time += duration % LIVENESS;
        vm.warp(time);
        note();
    }

    function answer(uint256 which, uint256 who, uint8 outcome) external now_ {
        which %= 2;
        IOptimisticOracle.Game memory g = game.games(questions[which]);
        address player = _players[who % 3];
        outcome %= OUTCOMES;
        if (g.since == 0) {
            if (time > keys[which].deadline - 9 * LIVENESS - WINDOW) return;
            vm.prank(player);
            game.propose(keys[which], terms, outcome, 0, MIN);
            putIn[which] += MIN;
        } else {
            bool isOver = g.isRuled || time >= g.since + g.liveness || time >= g.closes;
            if (isOver || g.bond > 1e50) return;
            if (outcome == g.outcome) outcome = (outcome + 1) % OUTCOMES;
            vm.prank(player);
            game.dispute(questions[which], outcome, 0, 2 * g.bond);
            putIn[which] += 2 * g.bond;
        }
    }

    /// @notice Seldom, so that most games are played out.
    function arbitrate(uint256 which, uint256 who, uint8 outcome) external now_ {
        if (which % 8 > 1) return;
        which %= 8;
        IOptimisticOracle.Game memory g = game.games(questions[which]);
        if (g.isRuled) return;
        if (g.requester != address(0)) {
            if (time < g.rulingUntil) game.rule(questions[which], outcome % OUTCOMES);
        } else if (g.since != 0 && time < g.since + g.liveness && time < g.closes) {
            vm.prank(_players[who % 3]);
            game.requestArbitration(questions[which]);
        }
    }

    function requestArbitration(QuestionId, address, uint64) external payable {}

    function claim(uint256 which, uint256 who) external now_ {
        which %= 2;
        address player = _players[who % 3];
        if (game.claimable(questions[which], player) == 0) return;
        vm.prank(player);
        paidOut[which] += game.claim(questions[which], player);
    }

    function settle(uint256 which) external now_ {
        which %= 2;
        if (!isFinal[which] || time >= keys[which].deadline) return;
        game.settle(keys[which], terms, "");
        isSettled[which] = true;
    }
}

/// @notice What holds of the optimistic oracle after any calls by anyone; numbered as in docs/oracles.md.
contract OptimisticOracleInvariantTest {
    OracleVm private constant vm = OracleVm(address(uint160(uint256(keccak256("hevm cheat code")))));

    OptimisticHandler private handler;
    IOptimisticOracle private game;

    function setUp() public {
        handler = new OptimisticHandler();
        game = handler.game();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice O1: the bonds held are those put in and not yet paid out, and no game pays more than was put into it.
    function invariant_O1_bondsAreConserved() public view {
        uint256 held = 0;
        for (uint256 i = 0; i < 2; ++i) {
            vm.assertTrue(handler.paidOut(i) <= handler.putIn(i), "a game pays its own bonds");
            held += handler.putIn(i) - handler.paidOut(i);
        }
        vm.assertEq(handler.token().balanceOf(address(game)), held, "bonds held");
    }

    /// @notice O2: a verdict, once final, never changes. O3: the ledger is told nothing else.
    function invariant_O2_O3_verdictsAreFinal() public {
        vm.warp(handler.time());
        for (uint256 i = 0; i < 2; ++i) {
            (bool isFinal, uint8 outcome) = game.verdict(handler.questions(i));
            vm.assertTrue(isFinal == handler.isFinal(i) && outcome == handler.verdict(i), "kept");
            if (handler.isSettled(i)) {
                vm.assertEq(handler.ledger().live(handler.questions(i)), 1 << outcome, "told");
            }
        }
    }

    /// @notice O4: a game that was begun is over one liveness before the deadline, whatever is done or left undone.
    function invariant_O4_gamesEndInTime() public {
        for (uint256 i = 0; i < 2; ++i) {
            QuestionId question = handler.questions(i);
            (, uint64 deadline, ) = handler.keys(i);
            vm.warp(deadline - handler.LIVENESS());
            (bool isFinal, ) = game.verdict(question);
            vm.assertTrue(isFinal == (game.games(question).since != 0), "over in time");
        }
    }
}
