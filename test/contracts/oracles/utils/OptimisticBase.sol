// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { IArbitrator } from "../../../../contracts/interfaces/IArbitrator.sol";
import { IOptimisticOracle } from "../../../../contracts/interfaces/IOptimisticOracle.sol";
import { QuestionId } from "../../../../contracts/types/QuestionId.sol";
import { QuestionKey } from "../../../../contracts/types/QuestionKey.sol";
import { OracleBase } from "./OracleBase.sol";

/// @notice Takes requests and rules when told to: or does something else.
contract Arbitrator is IArbitrator {
    enum Mood {
        Willing,
        Refusing,
        Failing,
        Hasty
    }

    error FeeTooSmall(uint256 paid, uint256 fee);

    uint256 public constant FEE = 1 ether;
    Mood public mood;
    QuestionId public question;
    address public requester;
    uint64 public until;

    function set(Mood mood_) external {
        mood = mood_;
    }

    function requestArbitration(QuestionId question_, address requester_, uint64 until_) external payable {
        if (mood == Mood.Refusing) revert FeeTooSmall(msg.value, FEE);
        if (mood == Mood.Failing) {
            assembly ("memory-safe") {
                revert(0, 0)
            }
        }
        if (mood == Mood.Hasty) IOptimisticOracle(msg.sender).rule(question_, 0);
        (question, requester, until) = (question_, requester_, until_);
    }

    function arbitrationFee(QuestionId) external pure returns (uint256) {
        return FEE;
    }

    function rule(IOptimisticOracle game, uint8 outcome) external {
        game.rule(question, outcome);
    }
}

/// @notice Refuses to move to or from whom it does not like, or at all.
contract BlockingToken is ERC20("Blocking", "BLOCK") {
    mapping(address account => bool) public isBlocked;
    bool public isDead;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function set(address account, bool isBlocked_) external {
        isBlocked[account] = isBlocked_;
    }

    function die() external {
        isDead = true;
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(!isDead && !isBlocked[from] && !isBlocked[to], "blocked");
        super._update(from, to, amount);
    }
}

/// @notice A game about a question with four outcomes, thirty days before its deadline, and three who can play it.
abstract contract OptimisticBase is OracleBase {
    uint64 internal constant START = 1_900_000_000;
    uint64 internal constant ENDS = START + 30 days;
    uint32 internal constant LIVENESS = 1 days;
    uint32 internal constant WINDOW = 3 days;
    uint64 internal constant CLOSES = ENDS - LIVENESS - WINDOW;
    uint64 internal constant LATEST = CLOSES - 8 * LIVENESS;
    uint128 internal constant MIN = 100e6;
    uint8 internal constant OUTCOMES = 4;
    uint8 internal constant VOID = 3;
    bytes32 internal constant EVIDENCE = keccak256("evidence");

    IOptimisticOracle internal game;
    Arbitrator internal arbitrator;
    QuestionKey internal key;
    bytes internal terms;
    QuestionId internal question;
    /// @dev In storage, as the optimizer takes `block.timestamp` for constant within a test.
    uint256 internal time = START;

    function setUp() public virtual override {
        super.setUp();
        game = IOptimisticOracle(_deploy("OptimisticOracle", address(ledger)));
        arbitrator = new Arbitrator();
        key = _key(OUTCOMES, ENDS);
        _use(_terms());
        address[3] memory players = [alice, bob, carol];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(players[i]);
            token.approve(address(game), type(uint256).max);
            cheats.deal(players[i], 100 ether);
        }
    }

    function _terms() internal view returns (IOptimisticOracle.Terms memory) {
        return
            IOptimisticOracle.Terms({
                bondToken: address(token),
                minimumBond: MIN,
                opens: START,
                liveness: LIVENESS,
                arbitrator: address(arbitrator),
                arbitrationWindow: WINDOW
            });
    }

    /// @notice Another question over changed terms becomes the one under test.
    function _use(IOptimisticOracle.Terms memory changed) internal {
        terms = abi.encode(changed);
        question = _askOf(game, key, terms);
    }

    function _at(uint256 timestamp) internal {
        time = timestamp;
        vm.warp(timestamp);
    }

    function _wait(uint256 duration) internal {
        _at(time + duration);
    }

    function _propose(address who, uint8 outcome) internal {
        _proposeFor(who, outcome, MIN);
    }

    function _proposeFor(address who, uint8 outcome, uint256 bond) internal {
        vm.prank(who);
        game.propose(key, terms, outcome, EVIDENCE, bond);
    }

    function _dispute(address who, uint8 outcome) internal {
        uint256 bond = 2 * game.games(question).bond;
        vm.prank(who);
        game.dispute(question, outcome, EVIDENCE, bond);
    }

    function _disputeFails(bytes memory reason, address who, uint8 outcome) internal {
        uint256 bond = 2 * game.games(question).bond;
        _expect(reason);
        vm.prank(who);
        game.dispute(question, outcome, EVIDENCE, bond);
    }

    function _request(address who) internal {
        vm.prank(who);
        game.requestArbitration{ value: 1 ether }(question);
    }

    function _settle() internal returns (uint256 survivors) {
        (, survivors) = game.settle(key, terms, "");
    }

    function _claim(address who) internal returns (uint256) {
        vm.prank(who);
        return game.claim(question, who);
    }

    function _assertVerdict(uint8 expected, string memory message) internal view {
        (bool isFinal, uint8 outcome) = game.verdict(question);
        vm.assertTrue(isFinal, string.concat(message, ": final"));
        vm.assertEq(uint256(outcome), uint256(expected), message);
    }

    function _assertRunning(string memory message) internal view {
        (bool isFinal, uint8 outcome) = game.verdict(question);
        vm.assertTrue(!isFinal && outcome == 0, message);
    }

    function _answersEnded(uint256 end) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IOptimisticOracle.AnswersEnded.selector, question, end);
    }
}
